-- Step 2: the assets and usage points that the head-end system named, each found in the registry or registered.

-- do: the registry's names
CREATE TEMP TABLE registry_names ON COMMIT DROP AS
SELECT m.meter_no, m.id, upper(btrim(m.meter_number, E' \t\n\r\f\x0B')) AS key,
       NULLIF(upper(btrim(m.asset_mrid, E' \t\n\r\f\x0B')), '') AS asset_key, m.usage_point_mrid AS point,
       COALESCE(m.status, 'active') = 'active' AS is_active
FROM public.oms_meters m;
CREATE INDEX ON registry_names (key);
CREATE INDEX ON registry_names (asset_key);
CREATE INDEX ON registry_names (point);
ANALYZE registry_names;

-- do: assets and usage points as they were named
CREATE TEMP TABLE asset_said ON COMMIT DROP AS
SELECT a.id, a.payload_id, btrim(a.mrid, E' \t\n\r\f\x0B') AS mrid, upper(btrim(a.mrid, E' \t\n\r\f\x0B')) AS key,
       upper(btrim(a.name, E' \t\n\r\f\x0B')) AS name_key, a.meter_id
FROM public.kaifa_event_assets a WHERE btrim(a.mrid, E' \t\n\r\f\x0B') <> '';
CREATE INDEX ON asset_said (key);
CREATE TEMP TABLE point_said ON COMMIT DROP AS
SELECT u.id, u.payload_id, btrim(u.mrid, E' \t\n\r\f\x0B') AS point, u.meter_id
FROM public.kaifa_event_usage_points u WHERE btrim(u.mrid, E' \t\n\r\f\x0B') <> '';
CREATE INDEX ON point_said (point);
ANALYZE asset_said;
ANALYZE point_said;

-- do: events about one asset at one usage point say which belongs to which
CREATE TEMP TABLE lone_pair ON COMMIT DROP AS
SELECT a.payload_id, a.key, u.point
FROM (SELECT payload_id, min(key) AS key FROM asset_said GROUP BY payload_id HAVING count(DISTINCT key) = 1) a
JOIN (SELECT payload_id, min(point) AS point FROM point_said GROUP BY payload_id HAVING count(DISTINCT point) = 1) u
    ON u.payload_id = a.payload_id;
ANALYZE lone_pair;
CREATE TEMP TABLE asset_point ON COMMIT DROP AS
SELECT l.key, l.point, max(COALESCE(p.created_date_time, e.event_timestamp)) AS last_at
FROM lone_pair l
JOIN public.kaifa_event_payloads p ON p.id = l.payload_id
LEFT JOIN public.kaifa_events e ON e.id = p.event_id
GROUP BY l.key, l.point;
CREATE INDEX ON asset_point (key);
ANALYZE asset_point;

-- do: one row an asset, with the usage point that it was last seen at
CREATE TEMP TABLE asset ON COMMIT DROP AS
SELECT s.key, s.mrid, s.name_key, p.point
FROM (SELECT key, min(mrid COLLATE "C") AS mrid,
             CASE WHEN count(DISTINCT name_key) = 1 THEN min(name_key) END AS name_key FROM asset_said GROUP BY key) s
LEFT JOIN (SELECT DISTINCT ON (key) key, point FROM asset_point
           ORDER BY key, last_at DESC NULLS LAST, point COLLATE "C") p ON p.key = s.key;
CREATE INDEX ON asset (key);
ANALYZE asset;

-- do: what says of an asset which meter it is, strongest first
CREATE TEMP TABLE asset_meter ON COMMIT DROP AS
SELECT DISTINCT ON (x.key) x.key, x.meter_no, x.rule
FROM (
    SELECT a.key, r.meter_no, 'asset_mrid' AS rule, 1 AS place, r.is_active
    FROM asset a JOIN registry_names r ON r.asset_key = a.key
    UNION ALL
    SELECT a.key, r.meter_no, 'same_number', 2, r.is_active FROM asset a JOIN registry_names r ON r.key = a.key
    UNION ALL
    SELECT a.key, l.meter_no, l.rule, 3, true
    FROM asset a JOIN oms_topology.meter_alias l ON l.kind IN ('asset_mrid', 'number') AND l.name = a.key
    UNION ALL
    SELECT a.key, min(r.meter_no), 'registry_pair', 4, bool_or(r.is_active)
    FROM asset a
    JOIN public.oms_smart_meters k ON upper(btrim(k.asset_mrid, E' \t\n\r\f\x0B')) = a.key
    JOIN registry_names r ON r.key = upper(btrim(k.meter_number, E' \t\n\r\f\x0B'))
    WHERE r.asset_key IS NULL GROUP BY a.key HAVING count(DISTINCT r.meter_no) = 1
    UNION ALL
    -- A name that several assets bear, or that no ONU meter has, is not one.
    SELECT min(a.key), r.meter_no, 'asset_name', 5, r.is_active
    FROM asset a
    JOIN registry_names r ON r.key = a.name_key AND r.asset_key IS NULL
    WHERE a.name_key ~ '[0-9]' AND length(a.name_key) >= 4
      AND EXISTS (SELECT FROM public.meters o WHERE o.oms_meter_id = r.id)
    GROUP BY r.meter_no, r.is_active HAVING count(*) = 1
    UNION ALL
    SELECT a.key, p.meter_no, 'usage_point', 6, true
    FROM asset a
    JOIN (SELECT point, min(meter_no) AS meter_no FROM registry_names WHERE point IS NOT NULL AND is_active
          GROUP BY point HAVING count(*) = 1 AND bool_and(asset_key IS NULL)) p ON p.point = a.point
    WHERE NOT EXISTS (SELECT FROM asset b WHERE b.point = a.point AND b.key <> a.key)
) x
ORDER BY x.key, x.place, x.is_active DESC, x.meter_no;
CREATE INDEX ON asset_meter (key);
ANALYZE asset_meter;

-- count: registered
INSERT INTO public.oms_meters (meter_number, meter_type, asset_mrid, usage_point_mrid)
SELECT CASE WHEN length(a.mrid) <= 64 THEN a.mrid ELSE oms_topology.number_of_asset(a.mrid) END, 'kaifa', a.mrid, a.point
FROM asset a
WHERE NOT EXISTS (SELECT FROM asset_meter x WHERE x.key = a.key)
ORDER BY a.key COLLATE "C";

-- do: and of those the meters
INSERT INTO asset_meter (key, meter_no, rule)
SELECT a.key, m.meter_no, 'registered'
FROM asset a
JOIN public.oms_meters m ON m.asset_mrid = a.mrid
WHERE NOT EXISTS (SELECT FROM asset_meter x WHERE x.key = a.key)
  AND NOT EXISTS (SELECT FROM registry_names r WHERE r.meter_no = m.meter_no);
ANALYZE asset_meter;

-- do: what rows of the registry lack
CREATE TEMP TABLE completed ON COMMIT DROP AS
SELECT n.meter_no, n.mrid, n.point
FROM (SELECT DISTINCT ON (x.meter_no) x.meter_no, a.mrid, a.point
      FROM asset_meter x JOIN asset a ON a.key = x.key ORDER BY x.meter_no, x.rule = 'asset_mrid' DESC, a.key COLLATE "C") n
JOIN public.oms_meters m ON m.meter_no = n.meter_no
WHERE m.asset_mrid IS NULL OR m.usage_point_mrid IS NULL AND n.point IS NOT NULL;
ANALYZE completed;

-- bulk: oms_meters asset_mrid, usage_point_mrid
SELECT count(*) FROM completed;

-- count: completed
UPDATE public.oms_meters m
SET asset_mrid = COALESCE(m.asset_mrid, n.mrid), usage_point_mrid = COALESCE(m.usage_point_mrid, n.point)
FROM completed n WHERE m.meter_no = n.meter_no;

-- count: matched_by_evidence
INSERT INTO oms_topology.meter_alias (kind, name, meter_no, rule)
SELECT 'asset_mrid', x.key, x.meter_no, x.rule
FROM asset_meter x
WHERE (x.rule IN ('registry_pair', 'asset_name', 'usage_point')
       -- A second asset of a meter whose row has the first.
       OR x.rule = 'same_number' AND EXISTS (SELECT FROM public.oms_meters m WHERE m.meter_no = x.meter_no
                                             AND upper(btrim(m.asset_mrid, E' \t\n\r\f\x0B')) <> x.key))
  AND NOT EXISTS (SELECT FROM oms_topology.meter_alias l WHERE l.kind = 'asset_mrid' AND l.name = x.key)
ORDER BY x.key COLLATE "C";

-- do: the meter of each asset as it was named
CREATE TEMP TABLE named_meter ON COMMIT DROP AS
SELECT s.id, m.id AS meter_id
FROM asset_said s
JOIN asset_meter x ON x.key = s.key
JOIN public.oms_meters m ON m.meter_no = x.meter_no
WHERE s.meter_id IS DISTINCT FROM m.id;
ANALYZE named_meter;

-- bulk: kaifa_event_assets meter_id
SELECT count(*) FROM named_meter;

-- count: assets_linked
UPDATE public.kaifa_event_assets a SET meter_id = n.meter_id FROM named_meter n WHERE a.id = n.id;

-- do: the meter of each usage point: of the event's one asset, else the one that the registry has at it
CREATE TEMP TABLE point_meter ON COMMIT DROP AS
SELECT u.id, COALESCE(m.id, r.id) AS meter_id
FROM point_said u
LEFT JOIN lone_pair l ON l.payload_id = u.payload_id
LEFT JOIN asset_meter x ON x.key = l.key
LEFT JOIN public.oms_meters m ON m.meter_no = x.meter_no
LEFT JOIN (SELECT usage_point_mrid AS point, min(id::text)::uuid AS id FROM public.oms_meters
           WHERE usage_point_mrid IS NOT NULL AND COALESCE(status, 'active') = 'active'
           GROUP BY usage_point_mrid HAVING count(*) = 1) r ON m.id IS NULL AND r.point = u.point
WHERE COALESCE(m.id, r.id) IS DISTINCT FROM u.meter_id AND COALESCE(m.id, r.id) IS NOT NULL;
ANALYZE point_meter;

-- bulk: kaifa_event_usage_points meter_id
SELECT count(*) FROM point_meter;

-- count: usage_points_linked
UPDATE public.kaifa_event_usage_points u SET meter_id = p.meter_id FROM point_meter p WHERE u.id = p.id;

-- finding: mrid_too_long | Assets whose mRID is longer than a meter number may be; they are registered under a shortened number, and known by the whole mRID. | None needed.
SELECT a.mrid AS id FROM asset a WHERE length(a.mrid) > 64;

-- finding: usage_point_shared | Usage points at which several assets were seen: a meter was exchanged, or one of the events is wrong. | Tell in the registry which meter is there now.
SELECT p.point AS id FROM asset_point p GROUP BY p.point HAVING count(DISTINCT p.key) > 1;

-- finding: asset_missing | Events that name no asset, at a usage point that no meter or several have; they are linked to no meter. | Register the meter with its usage point.
SELECT u.point AS id FROM point_said u
WHERE NOT EXISTS (SELECT FROM asset_said a WHERE a.payload_id = u.payload_id)
  AND NOT EXISTS (SELECT FROM public.kaifa_event_usage_points k WHERE k.id = u.id AND k.meter_id IS NOT NULL)
GROUP BY u.point;
