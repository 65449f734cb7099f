-- Keys and checks, without what was inherited or made for a partition. What an extension brought is left out.
SELECT n.nspname || '.' || c.relname AS owner, k.conname AS name, k.contype::text AS kind,
       pg_get_constraintdef(k.oid) AS definition, k.convalidated AS validated
FROM pg_constraint AS k
JOIN pg_class AS c ON c.oid = k.conrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE k.contype IN ('p', 'u', 'f', 'c', 'x') AND k.conparentid = 0 AND k.conislocal AND NOT c.relispartition
  AND n.nspname IN ('public', 'oms_topology')
  AND NOT EXISTS (SELECT FROM pg_depend AS x
                  WHERE x.objid = c.oid AND x.classid = 'pg_class'::regclass AND x.deptype = 'e')
ORDER BY 1, 2;
