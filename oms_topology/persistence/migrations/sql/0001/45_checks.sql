-- The rules of 22_expectations.sql as CHECK constraints: added without looking at the rows, then validated.
-- Where rows are left that 30_set_aside.sql could not repair, the rule holds for new rows, and is reported.

DO $$
DECLARE
    checked record;
    broken  bigint;
BEGIN
    FOR checked IN
        SELECT k.*
        FROM pg_temp.contract_check AS k
        WHERE NOT EXISTS (
            SELECT FROM pg_constraint
            WHERE conrelid = format('public.%I', k.table_name)::regclass AND conname = k.check_name)
        ORDER BY k.check_no
    LOOP
        EXECUTE format('ALTER TABLE public.%I ADD CONSTRAINT %I CHECK (%s)%s NOT VALID',
                       checked.table_name, checked.check_name, checked.rule,
                       CASE WHEN checked.no_inherit THEN ' NO INHERIT' ELSE '' END);
        BEGIN
            EXECUTE format('ALTER TABLE public.%I VALIDATE CONSTRAINT %I', checked.table_name, checked.check_name);
        EXCEPTION WHEN check_violation THEN
            EXECUTE format('SELECT count(*) FROM public.%I WHERE NOT (%s)', checked.table_name, checked.rule)
            INTO broken;
            INSERT INTO oms_topology.upgrade_report (revision, rule, severity, message, remedy, ids, row_count)
            VALUES ('0001', 'check_not_validated', 'warning',
                    format('%s.%s holds values that break: %s', checked.table_name, checked.column_name,
                           checked.rule),
                    format('Correct them, then: ALTER TABLE public.%I VALIDATE CONSTRAINT %I;',
                           checked.table_name, checked.check_name),
                    ARRAY[checked.check_name], broken);
        END;
    END LOOP;
END
$$;
