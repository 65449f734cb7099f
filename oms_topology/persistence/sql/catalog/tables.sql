-- Tables, partitioned or not; a partition belongs to its parent. What an extension brought is left out.
SELECT n.nspname || '.' || c.relname AS name, c.relkind::text AS kind, c.relpersistence::text AS persistence,
       coalesce(c.reloptions, '{}') AS options, pg_get_partkeydef(c.oid) AS partition_key,
       ARRAY(SELECT i.inhparent::regclass::text FROM pg_inherits AS i WHERE i.inhrelid = c.oid
             ORDER BY i.inhseqno) AS parents,
       ARRAY(SELECT p.relname || ' ' || pg_get_expr(p.relpartbound, p.oid)
             FROM pg_inherits AS i JOIN pg_class AS p ON p.oid = i.inhrelid
             WHERE i.inhparent = c.oid AND p.relispartition ORDER BY p.relname) AS partitions
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname IN ('public', 'oms_topology')
  AND NOT EXISTS (SELECT FROM pg_depend AS x
                  WHERE x.objid = c.oid AND x.classid = 'pg_class'::regclass AND x.deptype = 'e')
ORDER BY 1;
