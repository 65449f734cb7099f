-- Enumerations, domains and composite types. What an extension brought is left out.
SELECT n.nspname || '.' || t.typname AS name, t.typtype::text AS kind,
       ARRAY(SELECT e.enumlabel::text FROM pg_enum AS e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder) AS labels,
       ARRAY(SELECT a.attname || ' ' || format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS fields
FROM pg_type AS t
JOIN pg_namespace AS n ON n.oid = t.typnamespace
LEFT JOIN pg_class AS c ON c.oid = t.typrelid
WHERE (t.typtype IN ('e', 'd') OR c.relkind = 'c') AND n.nspname IN ('public', 'oms_topology')
  AND NOT EXISTS (SELECT FROM pg_depend AS x
                  WHERE x.objid = t.oid AND x.classid = 'pg_type'::regclass AND x.deptype = 'e')
ORDER BY 1;
