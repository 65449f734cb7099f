-- Views. What an extension brought is left out.
SELECT n.nspname || '.' || c.relname AS name, c.relkind::text AS kind, pg_get_viewdef(c.oid) AS definition
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('v', 'm') AND n.nspname IN ('public', 'oms_topology')
  AND NOT EXISTS (SELECT FROM pg_depend AS x
                  WHERE x.objid = c.oid AND x.classid = 'pg_class'::regclass AND x.deptype = 'e')
ORDER BY 1;
