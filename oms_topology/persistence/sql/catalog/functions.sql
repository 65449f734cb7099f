-- Functions and procedures. What an extension brought is left out.
SELECT n.nspname || '.' || p.proname || '(' || oidvectortypes(p.proargtypes) || ')' AS name,
       pg_get_function_arguments(p.oid) AS arguments, coalesce(pg_get_function_result(p.oid), '') AS result,
       l.lanname AS language, p.provolatile::text AS volatility, p.proparallel::text AS parallel,
       p.proisstrict AS strict, p.prosecdef AS security_definer, p.prokind::text AS kind,
       coalesce(p.proconfig, '{}') AS settings, p.prosrc AS body
FROM pg_proc AS p
JOIN pg_namespace AS n ON n.oid = p.pronamespace
JOIN pg_language AS l ON l.oid = p.prolang
WHERE n.nspname IN ('public', 'oms_topology')
  AND NOT EXISTS (SELECT FROM pg_depend AS x
                  WHERE x.objid = p.oid AND x.classid = 'pg_proc'::regclass AND x.deptype = 'e')
ORDER BY 1;
