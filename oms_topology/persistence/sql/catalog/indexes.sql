-- Indexes that no key made. What an extension brought is left out.
SELECT n.nspname || '.' || c.relname AS owner, i.relname AS name, pg_get_indexdef(i.oid) AS definition,
       x.indisvalid AS valid, x.indisunique AS "unique"
FROM pg_index AS x
JOIN pg_class AS i ON i.oid = x.indexrelid
JOIN pg_class AS c ON c.oid = x.indrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname IN ('public', 'oms_topology')
  AND NOT EXISTS (SELECT FROM pg_depend AS x
                  WHERE x.objid = c.oid AND x.classid = 'pg_class'::regclass AND x.deptype = 'e')
  AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.oid AND k.contype IN ('p', 'u', 'x'))
ORDER BY 1, 2;
