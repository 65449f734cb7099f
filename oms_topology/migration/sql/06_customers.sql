-- Step 6: the customer of each meter that nobody linked to one: by the phone that called about it, by a building that
-- has one customer, else the nearest; and a caller whom nobody knows becomes a customer.

-- do: where meters may be linked
CREATE TEMP TABLE placement ON COMMIT DROP AS SELECT * FROM oms_topology.explicit_placement;
ANALYZE placement;
CREATE TEMP TABLE link_decision (
    meter_no integer, status text, target_id uuid, rule text, distance_m double precision,
    second_distance_m double precision, confidence double precision) ON COMMIT DROP;
CREATE TEMP TABLE link_target ON COMMIT DROP AS
SELECT (row_number() OVER (ORDER BY c.customer_id COLLATE "C") - 1)::integer AS row_no, c.id AS target_id, c.customer_id AS code,
       c.location_lng::double precision AS longitude, c.location_lat::double precision AS latitude,
       upper(btrim(c.building_id)) AS building, c.phone
FROM public.oms_customers c WHERE COALESCE(c.status, 'active') = 'active';
ANALYZE link_target;

-- do: who called about which meter; a phone that called about more than three is nobody's own
CREATE TEMP TABLE caller ON COMMIT DROP AS
SELECT DISTINCT p.meter_no, oms_topology.phone_key(c.phone) AS phone
FROM public.callcenter_customers c
JOIN placement p ON p.meter_id = c.meter_id
WHERE p.customer_id IS NULL AND oms_topology.phone_key(c.phone) IS NOT NULL;
DELETE FROM caller WHERE phone IN (SELECT phone FROM caller GROUP BY phone HAVING count(*) > 3);
CREATE TEMP TABLE phone_customer ON COMMIT DROP AS
SELECT k.phone, min(t.row_no) AS row_no, count(*) AS customers
FROM (SELECT row_no, oms_topology.phone_key(phone) AS phone FROM link_target
      WHERE phone IS NOT NULL AND EXISTS (SELECT FROM caller)) k
JOIN link_target t ON t.row_no = k.row_no
WHERE k.phone IS NOT NULL GROUP BY k.phone;
ANALYZE caller;
ANALYZE phone_customer;

-- do: by phone; two customers of one phone, or two known callers, leave it open
INSERT INTO link_decision
SELECT x.meter_no, CASE WHEN x.is_clear THEN 'linked' ELSE 'ambiguous' END, CASE WHEN x.is_clear THEN t.target_id END,
       CASE WHEN x.is_clear THEN 'phone' END
FROM (SELECT c.meter_no, min(p.row_no) AS row_no, count(DISTINCT p.row_no) = 1 AND max(p.customers) = 1 AS is_clear
      FROM caller c JOIN phone_customer p ON p.phone = c.phone GROUP BY c.meter_no) x
JOIN link_target t ON t.row_no = x.row_no;

-- do: by building
INSERT INTO link_decision
SELECT p.meter_no, 'linked', c.target_id, 'building'
FROM placement p
JOIN (SELECT building, min(row_no) AS row_no FROM link_target WHERE building <> ''
      GROUP BY building HAVING count(*) = 1) u ON u.building = p.building
JOIN link_target c ON c.row_no = u.row_no
WHERE p.customer_id IS NULL AND NOT EXISTS (SELECT FROM link_decision d WHERE d.meter_no = p.meter_no);
ANALYZE link_decision;

-- do: what is left, by place
CREATE TEMP TABLE link_point ON COMMIT DROP AS
SELECT p.meter_no, p.longitude, p.latitude, NULL::integer AS group_no
FROM placement p
WHERE p.customer_id IS NULL AND NOT EXISTS (SELECT FROM link_decision d WHERE d.meter_no = p.meter_no);
