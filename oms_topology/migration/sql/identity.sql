-- Which rows of the registry are one physical meter, by rule and evidence; found anew in each step that names meters.

-- name: same_number
SELECT f.meter_no AS first_no, r.meter_no AS second_no, 'same_number' AS rule, 'number ' || r.key AS evidence
FROM (SELECT m.meter_no, m.meter_number, k.key,
             first_value(m.meter_no) OVER (PARTITION BY k.key ORDER BY m.meter_number COLLATE "C") AS first_no,
             count(*) OVER (PARTITION BY k.key) AS copies
      FROM public.oms_meters m
      CROSS JOIN LATERAL (SELECT upper(btrim(m.meter_number, E' \t\n\r\f\x0B')) AS key) k) r
JOIN public.oms_meters f ON f.meter_no = r.first_no
WHERE r.copies > 1 AND r.meter_no <> r.first_no
ORDER BY r.key COLLATE "C", r.meter_number COLLATE "C";

-- name: mrids
WITH names AS MATERIALIZED (
    SELECT m.meter_no, m.id, m.meter_number, upper(btrim(m.meter_number, E' \t\n\r\f\x0B')) AS key,
           NULLIF(upper(btrim(m.asset_mrid, E' \t\n\r\f\x0B')), '') AS asset_key, m.usage_point_mrid AS point, m.onu_id
    FROM public.oms_meters m WHERE COALESCE(m.status, 'active') = 'active'
), edge AS (
    -- Two rows of one asset.
    SELECT a.first_no, n.meter_no AS second_no, 1 AS place, 'asset_mrid' AS rule, 'asset ' || n.asset_key AS evidence
    FROM (SELECT asset_key, (array_agg(meter_no ORDER BY meter_number COLLATE "C"))[1] AS first_no
          FROM names WHERE asset_key IS NOT NULL GROUP BY asset_key HAVING count(*) > 1) a
    JOIN names n ON n.asset_key = a.asset_key AND n.meter_no <> a.first_no
    UNION ALL
    -- One row has for its number what is the other's asset.
    SELECT a.meter_no, n.meter_no, 1, 'asset_mrid', 'asset ' || a.asset_key
    FROM names a JOIN names n ON n.key = a.asset_key AND n.meter_no <> a.meter_no
    UNION ALL
    -- The older registry of the head-end system has both names in one row.
    SELECT n.meter_no, a.meter_no, 2, 'registry_pair', 'number ' || n.key || ' with asset ' || COALESCE(a.asset_key, a.key)
    FROM public.oms_smart_meters k
    JOIN names n ON n.key = upper(btrim(k.meter_number, E' \t\n\r\f\x0B'))
    JOIN names a ON upper(btrim(k.asset_mrid, E' \t\n\r\f\x0B')) IN (a.asset_key, a.key) AND a.meter_no <> n.meter_no
    WHERE upper(btrim(k.asset_mrid, E' \t\n\r\f\x0B')) <> n.key
      AND (n.asset_key IS NULL OR n.asset_key = upper(btrim(k.asset_mrid, E' \t\n\r\f\x0B')))
    UNION ALL
    -- Two rows at one usage point, of which one has no asset.
    SELECT min(n.meter_no), max(n.meter_no), 3, 'usage_point', 'usage point ' || n.point
    FROM names n WHERE n.point IS NOT NULL
    GROUP BY n.point HAVING count(*) = 2 AND count(n.asset_key) = 1
    UNION ALL
    -- A row that is known by its mRID only is at an ONU that has one meter, and that meter has no asset.
    SELECT o.meter_no, n.meter_no, 4, 'onu_association', 'only meter of ONU ' || n.onu_id
    FROM names n
    JOIN (SELECT m.onu_id, min(m.oms_meter_id::text)::uuid AS id FROM public.meters m
          WHERE m.onu_id IS NOT NULL GROUP BY m.onu_id HAVING count(DISTINCT m.oms_meter_id) = 1 AND count(m.oms_meter_id) = count(*)) l
        ON l.onu_id = n.onu_id
    JOIN names o ON o.id = l.id AND o.asset_key IS NULL
    WHERE n.key = n.asset_key AND n.meter_no <> o.meter_no
      AND NOT EXISTS (SELECT FROM names b WHERE b.onu_id = n.onu_id AND b.meter_no NOT IN (n.meter_no, o.meter_no))
)
SELECT e.first_no, e.second_no, e.rule, e.evidence
FROM edge e JOIN names f ON f.meter_no = e.first_no JOIN names s ON s.meter_no = e.second_no
ORDER BY e.place, e.rule, f.key COLLATE "C", s.key COLLATE "C";

-- name: typed_number
WITH names AS MATERIALIZED (
    SELECT m.meter_no, k.key, CASE WHEN k.key ~ '[^A-Z0-9]' THEN oms_topology.tidy_meter_number(k.key) ELSE k.key END AS tidy,
           m.asset_mrid IS NULL AND m.onu_id IS NULL AND m.location_lat IS NULL AND NOT EXISTS (
               SELECT FROM public.meters o WHERE o.oms_meter_id = m.id) AS is_typed
    FROM public.oms_meters m
    CROSS JOIN LATERAL (SELECT upper(btrim(m.meter_number, E' \t\n\r\f\x0B')) AS key OFFSET 0) k
    WHERE COALESCE(m.status, 'active') = 'active'
)
SELECT min(n.meter_no) FILTER (WHERE NOT n.is_typed) AS first_no, t.meter_no AS second_no, 'typed_number' AS rule,
       'typed ' || t.key || ' for ' || t.tidy AS evidence
FROM names t
JOIN names n ON n.tidy = t.tidy
WHERE t.is_typed AND t.key <> t.tidy
GROUP BY t.meter_no, t.key, t.tidy
HAVING count(*) FILTER (WHERE NOT n.is_typed) = 1
ORDER BY t.key COLLATE "C";

-- name: ranks
SELECT m.meter_no, m.meter_number, upper(btrim(m.meter_number, E' \t\n\r\f\x0B')) AS key,
       COALESCE(m.status, 'active') = 'active' AS is_active,
       EXISTS (SELECT FROM public.meters o WHERE upper(btrim(o.meter_id, E' \t\n\r\f\x0B')) = upper(btrim(m.meter_number, E' \t\n\r\f\x0B'))) AS is_onu_meter,
       m.customer_id IS NOT NULL AS has_customer, m.asset_mrid IS NOT DISTINCT FROM m.meter_number AS is_mrid_only, m.created_at
FROM public.oms_meters m WHERE m.meter_no = ANY (%s);

-- name: kept_apart
SELECT survivor_number, merged_number FROM oms_topology.meter_merge WHERE undone_at IS NOT NULL;
