-- Step 3: the meters that callers named, as the call-center door reads what people type.

-- do: each spelling once
CREATE TEMP TABLE spelling ON COMMIT DROP AS
SELECT s.meter_number, upper(btrim(s.meter_number, E' \t\n\r\f\x0B')) AS key, oms_topology.tidy_meter_number(s.meter_number) AS tidy
FROM (SELECT DISTINCT meter_number FROM public.callcenter_customers WHERE btrim(meter_number, E' \t\n\r\f\x0B') <> '') s;
CREATE INDEX ON spelling (meter_number);
ANALYZE spelling;

-- do: the registry's numbers, also without separators
CREATE TEMP TABLE registry_number ON COMMIT DROP AS
SELECT m.meter_no, k.key, CASE WHEN k.key ~ '[^A-Z0-9]' THEN oms_topology.tidy_meter_number(k.key) ELSE k.key END AS tidy
FROM public.oms_meters m
CROSS JOIN LATERAL (SELECT upper(btrim(m.meter_number, E' \t\n\r\f\x0B')) AS key OFFSET 0) k;
CREATE INDEX ON registry_number (key);
CREATE INDEX ON registry_number (tidy);
ANALYZE registry_number;

-- do: which meter each spelling means: written so, under another name, or the only one but for separators
CREATE TEMP TABLE typed ON COMMIT DROP AS
SELECT DISTINCT ON (x.meter_number) x.meter_number, x.meter_no
FROM (SELECT s.meter_number, r.meter_no, 1 AS place FROM spelling s JOIN registry_number r ON r.key = s.key
      UNION ALL
      SELECT s.meter_number, r.meter_no, 2 FROM spelling s JOIN registry_number r ON r.key = s.tidy
      UNION ALL
      SELECT s.meter_number, l.meter_no, 3
      FROM spelling s JOIN oms_topology.meter_alias l ON l.kind = 'number' AND l.name IN (s.key, s.tidy)
      UNION ALL
      SELECT s.meter_number, r.meter_no, 4
      FROM spelling s
      JOIN (SELECT tidy, min(meter_no) AS meter_no FROM registry_number GROUP BY tidy HAVING count(*) = 1) r ON r.tidy = s.tidy
     ) x
ORDER BY x.meter_number, x.place, x.meter_no;
ANALYZE typed;

-- count: registered
INSERT INTO public.oms_meters (meter_number, meter_type)
SELECT DISTINCT s.tidy COLLATE "C", 'smart'
FROM spelling s
WHERE s.tidy ~ '[0-9]' AND length(s.tidy) BETWEEN 3 AND 64 AND NOT EXISTS (SELECT FROM typed t WHERE t.meter_number = s.meter_number)
  AND NOT EXISTS (SELECT FROM registry_number r WHERE r.tidy = s.tidy)
ORDER BY s.tidy COLLATE "C";

-- do: and of those the meters
INSERT INTO typed (meter_number, meter_no)
SELECT s.meter_number, m.meter_no
FROM spelling s
JOIN public.oms_meters m ON upper(btrim(m.meter_number)) = s.tidy
WHERE NOT EXISTS (SELECT FROM typed t WHERE t.meter_number = s.meter_number);
ANALYZE typed;

-- count: callers_linked
UPDATE public.callcenter_customers c
SET meter_id = m.id
FROM typed t
JOIN public.oms_meters m ON m.meter_no = t.meter_no
WHERE c.meter_number = t.meter_number AND c.meter_id IS DISTINCT FROM m.id;

-- finding: typed_number_unusable | Callers gave what is no meter number; their tickets stand, without a meter. | None needed.
SELECT s.meter_number AS id FROM spelling s WHERE s.tidy IS NULL OR s.tidy !~ '[0-9]' OR length(s.tidy) NOT BETWEEN 3 AND 64;

-- finding: typed_number_ambiguous | Numbers that callers gave and that differ from several meters by separators only. | Correct the numbers in the registry.
SELECT s.meter_number AS id FROM spelling s
WHERE NOT EXISTS (SELECT FROM typed t WHERE t.meter_number = s.meter_number)
  AND EXISTS (SELECT FROM registry_number r WHERE r.tidy = s.tidy);
