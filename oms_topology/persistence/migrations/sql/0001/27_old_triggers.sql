-- The deployed triggers that stamp updated_at go, so that the upgrade itself stamps no row; 95_triggers.sql
-- makes them anew. They are told by the function they call, since their names differ between installations.

DO $$
DECLARE
    old record;
BEGIN
    FOR old IN
        SELECT t.tgname, t.tgrelid::regclass AS table_name
        FROM pg_trigger AS t
        JOIN pg_class AS c ON c.oid = t.tgrelid
        JOIN pg_proc AS p ON p.oid = t.tgfoid
        WHERE c.relnamespace = 'public'::regnamespace AND p.pronamespace = 'public'::regnamespace
          AND NOT t.tgisinternal AND t.tgparentid = 0
          AND p.proname IN ('oms_update_updated_at', 'onu_update_updated_at', 'cc_update_updated_at',
                            'update_updated_at_column')
          AND (c.relname IN ('network_substations', 'network_feeders', 'network_distribution_points',
                             'oms_customers', 'oms_smart_meters', 'oms_onu_devices', 'oms_meters', 'onus',
                             'callcenter_tickets', 'kaifa_events')
               OR c.relname ~ '^kaifa_events_p[0-3]$')
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', old.tgname, old.table_name);
    END LOOP;
END
$$;
