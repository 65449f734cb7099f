-- Primary, unique and foreign keys: what is missing is added, what is doubled goes, all under the names
-- that a clean install gives them. A key that the rows do not allow is reported, and stops nothing.

DO $$
DECLARE
    keyed record;
BEGIN
    FOR keyed IN
        SELECT t.table_name, t.table_name || '_pkey' AS key_name, 'PRIMARY KEY (id)' AS definition
        FROM pg_temp.contract_table AS t
        WHERE NOT EXISTS (
            SELECT FROM pg_constraint
            WHERE conrelid = format('public.%I', t.table_name)::regclass AND contype = 'p')
        UNION ALL
        SELECT u.table_name, u.key_name, format('UNIQUE (%s)', u.columns)
        FROM pg_temp.contract_unique_key AS u
        WHERE NOT EXISTS (
            SELECT FROM pg_constraint AS c
            WHERE c.conrelid = format('public.%I', u.table_name)::regclass AND c.contype = 'u'
              AND u.columns = (SELECT string_agg(a.attname, ', ' ORDER BY k.place)
                               FROM unnest(c.conkey) WITH ORDINALITY AS k (attnum, place)
                               JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = k.attnum))
    LOOP
        BEGIN
            EXECUTE format('ALTER TABLE public.%I ADD CONSTRAINT %I %s',
                           keyed.table_name, keyed.key_name, keyed.definition);
        EXCEPTION WHEN unique_violation OR not_null_violation THEN
            INSERT INTO oms_topology.upgrade_report (revision, rule, severity, message, remedy, ids, row_count)
            VALUES ('0001', 'key_not_added', 'error',
                    format('The rows of %s do not allow %s.', keyed.table_name, keyed.definition),
                    'Remove the repeated rows and add the key.', ARRAY[keyed.key_name], 1);
        END;
    END LOOP;
END
$$;

DO $$
DECLARE
    key      record;
    standing record;
    kept     text;
    orphans  bigint;
BEGIN
    FOR key IN
        SELECT k.*, a.attnum, c.oid AS table_oid, c.relkind, p.oid AS parent_oid
        FROM pg_temp.contract_foreign_key AS k
        JOIN pg_class AS c ON c.oid = format('public.%I', k.table_name)::regclass
        JOIN pg_class AS p ON p.oid = format('public.%I', k.parent_table)::regclass
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = k.column_name
        ORDER BY k.key_no
    LOOP
        kept := NULL;
        FOR standing IN
            SELECT conname, confdeltype
            FROM pg_constraint
            WHERE conrelid = key.table_oid AND contype = 'f' AND conparentid = 0
              AND conkey = ARRAY[key.attnum] AND confrelid = key.parent_oid
            ORDER BY (confdeltype = key.on_delete) DESC, (conname = key.key_name) DESC, convalidated DESC, conname
        LOOP
            IF kept IS NULL AND standing.confdeltype = key.on_delete THEN
                kept := standing.conname;
                CONTINUE;
            END IF;
            EXECUTE format('ALTER TABLE public.%I DROP CONSTRAINT %I', key.table_name, standing.conname);
            INSERT INTO oms_topology.upgrade_report (revision, rule, severity, message, remedy, ids, row_count)
            VALUES ('0001',
                    CASE WHEN kept IS NULL THEN 'foreign_key_replaced' ELSE 'doubled_foreign_key' END, 'note',
                    format(CASE WHEN kept IS NULL
                                THEN '%s.%s had a foreign key with another rule for deletion; it was replaced.'
                                ELSE '%s.%s had its foreign key twice; one was dropped.' END,
                           key.table_name, key.column_name),
                    '', ARRAY[standing.conname::text], 1);
        END LOOP;

        IF kept IS NULL THEN
            EXECUTE format(
                'ALTER TABLE public.%I ADD CONSTRAINT %I FOREIGN KEY (%I) REFERENCES public.%I (id)%s%s',
                key.table_name, key.key_name, key.column_name, key.parent_table,
                CASE key.on_delete WHEN 'c' THEN ' ON DELETE CASCADE' WHEN 'n' THEN ' ON DELETE SET NULL' ELSE '' END,
                -- A partitioned table cannot have an unvalidated key before PostgreSQL 18.
                CASE WHEN key.relkind = 'p' THEN '' ELSE ' NOT VALID' END);
        ELSIF kept <> key.key_name THEN
            EXECUTE format('ALTER TABLE public.%I RENAME CONSTRAINT %I TO %I',
                           key.table_name, kept, key.key_name);
        END IF;

        BEGIN
            EXECUTE format('ALTER TABLE public.%I VALIDATE CONSTRAINT %I', key.table_name, key.key_name);
        EXCEPTION WHEN foreign_key_violation THEN
            EXECUTE format(
                'SELECT count(*) FROM public.%1$I AS t WHERE t.%2$I IS NOT NULL'
                ' AND NOT EXISTS (SELECT FROM public.%3$I AS p WHERE p.id = t.%2$I)',
                key.table_name, key.column_name, key.parent_table)
            INTO orphans;
            INSERT INTO oms_topology.upgrade_report (revision, rule, severity, message, remedy, ids, row_count)
            VALUES ('0001', 'foreign_key_not_validated', 'warning',
                    format('%s.%s holds ids that %s does not have.', key.table_name, key.column_name,
                           key.parent_table),
                    format('Correct them, then: ALTER TABLE public.%I VALIDATE CONSTRAINT %I;',
                           key.table_name, key.key_name),
                    ARRAY[key.key_name], orphans);
        END;
    END LOOP;
END
$$;
