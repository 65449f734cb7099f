-- Which rows of the registry are one physical meter, by rule and evidence; found anew in each step that names meters.

-- name: same_number
SELECT d.nos[1] AS first_no, u.meter_no AS second_no, 'same_number' AS rule, 'number ' || d.key AS evidence
FROM (SELECT upper(btrim(meter_number, E' \t\n\r\f\x0B')) AS key, array_agg(meter_no ORDER BY meter_number COLLATE "C") AS nos
      FROM public.oms_meters GROUP BY 1 HAVING count(*) > 1) d
CROSS JOIN LATERAL unnest(d.nos[2:]) WITH ORDINALITY AS u (meter_no, place)
ORDER BY d.key COLLATE "C", u.place;

-- name: prepare_mrids
CREATE TEMP TABLE meter_names ON COMMIT DROP AS
SELECT m.meter_no, m.id, m.meter_number, upper(btrim(m.meter_number, E' \t\n\r\f\x0B')) AS key,
       NULLIF(upper(btrim(m.asset_mrid, E' \t\n\r\f\x0B')), '') AS asset_key, m.usage_point_mrid AS point, m.onu_id
FROM public.oms_meters m WHERE COALESCE(m.status, 'active') = 'active';
CREATE INDEX ON meter_names (key);
CREATE INDEX ON meter_names (asset_key);
CREATE INDEX ON meter_names (meter_no);
ANALYZE meter_names;
CREATE TEMP TABLE registry_pair ON COMMIT DROP AS
SELECT DISTINCT upper(btrim(k.meter_number, E' \t\n\r\f\x0B')) AS key, upper(btrim(k.asset_mrid, E' \t\n\r\f\x0B')) AS asset_key
FROM public.oms_smart_meters k WHERE btrim(k.asset_mrid, E' \t\n\r\f\x0B') <> '';
ANALYZE registry_pair;
-- An ONU of one meter in the ONU service, where the registry knows at most one more row of that ONU.
CREATE TEMP TABLE lone_onu ON COMMIT DROP AS
SELECT l.onu_id, l.id
FROM (SELECT m.onu_id, min(m.oms_meter_id::text)::uuid AS id FROM public.meters m
      WHERE m.onu_id IS NOT NULL GROUP BY m.onu_id HAVING count(*) = 1 AND count(m.oms_meter_id) = 1) l
JOIN (SELECT onu_id FROM meter_names WHERE onu_id IS NOT NULL GROUP BY onu_id HAVING count(*) <= 2) n ON n.onu_id = l.onu_id;
ANALYZE lone_onu;

-- name: mrids
WITH edge AS (
    -- Two rows of one asset.
    SELECT a.first_no, n.meter_no AS second_no, 1 AS place, 'asset_mrid' AS rule, 'asset ' || n.asset_key AS evidence
    FROM (SELECT asset_key, (array_agg(meter_no ORDER BY meter_number COLLATE "C"))[1] AS first_no
          FROM meter_names WHERE asset_key IS NOT NULL GROUP BY asset_key HAVING count(*) > 1) a
    JOIN meter_names n ON n.asset_key = a.asset_key AND n.meter_no <> a.first_no
    UNION ALL
    -- One row has for its number what is the other's asset.
    SELECT a.meter_no, n.meter_no, 1, 'asset_mrid', 'asset ' || a.asset_key
    FROM meter_names a JOIN meter_names n ON n.key = a.asset_key AND n.meter_no <> a.meter_no
    UNION ALL
    -- The older registry of the head-end system has both names in one row.
    SELECT n.meter_no, a.meter_no, 2, 'registry_pair', 'number ' || n.key || ' with asset ' || k.asset_key
    FROM registry_pair k
    JOIN meter_names n ON n.key = k.key
    JOIN (SELECT meter_no, asset_key AS name FROM meter_names WHERE asset_key IS NOT NULL
          UNION SELECT meter_no, key FROM meter_names) a ON a.name = k.asset_key AND a.meter_no <> n.meter_no
    WHERE k.asset_key <> n.key AND (n.asset_key IS NULL OR n.asset_key = k.asset_key)
    UNION ALL
    -- Two rows at one usage point, of which one has no asset.
    SELECT min(n.meter_no), max(n.meter_no), 3, 'usage_point', 'usage point ' || n.point
    FROM meter_names n WHERE n.point IS NOT NULL
    GROUP BY n.point HAVING count(*) = 2 AND count(n.asset_key) = 1
    UNION ALL
    -- A row that is known by its mRID only is at an ONU that has one meter, and that meter has no asset.
    SELECT o.meter_no, n.meter_no, 4, 'onu_association', 'only meter of ONU ' || n.onu_id
    FROM lone_onu l
    JOIN meter_names n ON n.onu_id = l.onu_id AND n.key = n.asset_key
    JOIN meter_names o ON o.id = l.id AND o.asset_key IS NULL AND o.meter_no <> n.meter_no
)
SELECT e.first_no, e.second_no, e.rule, e.evidence
FROM edge e JOIN meter_names f ON f.meter_no = e.first_no JOIN meter_names s ON s.meter_no = e.second_no
ORDER BY e.place, e.rule, f.key COLLATE "C", s.key COLLATE "C";

-- name: prepare_typed_number
CREATE TEMP TABLE meter_tidy ON COMMIT DROP AS
SELECT m.meter_no, k.key, CASE WHEN k.key ~ '[^A-Z0-9]' THEN oms_topology.tidy_meter_number(k.key) ELSE k.key END AS tidy,
       m.asset_mrid IS NULL AND m.onu_id IS NULL AND m.location_lat IS NULL AND o.oms_meter_id IS NULL AS is_typed
FROM public.oms_meters m
CROSS JOIN LATERAL (SELECT upper(btrim(m.meter_number, E' \t\n\r\f\x0B')) AS key OFFSET 0) k
LEFT JOIN (SELECT DISTINCT oms_meter_id FROM public.meters) o ON o.oms_meter_id = m.id
WHERE COALESCE(m.status, 'active') = 'active';
CREATE INDEX ON meter_tidy (tidy);
ANALYZE meter_tidy;

-- name: typed_number
SELECT min(n.meter_no) FILTER (WHERE NOT n.is_typed) AS first_no, t.meter_no AS second_no, 'typed_number' AS rule,
       'typed ' || t.key || ' for ' || t.tidy AS evidence
FROM meter_tidy t
JOIN meter_tidy n ON n.tidy = t.tidy
WHERE t.is_typed AND t.key <> t.tidy
GROUP BY t.meter_no, t.key, t.tidy
HAVING count(*) FILTER (WHERE NOT n.is_typed) = 1
ORDER BY t.key COLLATE "C";

-- name: ranks
SELECT m.meter_no, m.meter_number, upper(btrim(m.meter_number, E' \t\n\r\f\x0B')) AS key,
       COALESCE(m.status, 'active') = 'active' AS is_active,
       o.key IS NOT NULL AS is_onu_meter,
       m.customer_id IS NOT NULL AS has_customer, m.asset_mrid IS NOT DISTINCT FROM m.meter_number AS is_mrid_only, m.created_at
FROM public.oms_meters m
LEFT JOIN (SELECT DISTINCT upper(btrim(meter_id, E' \t\n\r\f\x0B')) AS key FROM public.meters) o
    ON o.key = upper(btrim(m.meter_number, E' \t\n\r\f\x0B'))
WHERE m.meter_no = ANY (%s);

-- name: kept_apart
SELECT survivor_number, merged_number FROM oms_topology.meter_merge WHERE undone_at IS NOT NULL;
