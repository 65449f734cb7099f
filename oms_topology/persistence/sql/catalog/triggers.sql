-- Triggers, without what was made for a key or a partition. What an extension brought is left out.
SELECT n.nspname || '.' || c.relname AS owner, t.tgname AS name, pg_get_triggerdef(t.oid) AS definition,
       t.tgenabled::text AS enabled
FROM pg_trigger AS t
JOIN pg_class AS c ON c.oid = t.tgrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND NOT c.relispartition AND c.relkind IN ('r', 'p')
  AND n.nspname IN ('public', 'oms_topology')
  AND NOT EXISTS (SELECT FROM pg_depend AS x
                  WHERE x.objid = c.oid AND x.classid = 'pg_class'::regclass AND x.deptype = 'e')
ORDER BY 1, 2;
