-- Whatever a key or a CHECK of the following files would refuse is copied to oms_topology.set_aside as it
-- is, and only then moved out of the way or given a legal value. Nothing is lost, everything is counted.

-- Ids that point at nothing, where the foreign key is missing or was never validated. A nullable id is
-- cleared. A row that cannot be without it moves aside, unless other tables hang on that row: then it stays,
-- and 40_keys.sql reports that the key could not be validated.
DO $$
DECLARE
    key       record;
    found     bigint;
    orphans   text;
    is_leaf   boolean;
BEGIN
    FOR key IN
        SELECT k.*, a.attrelid, a.attnotnull
        FROM pg_temp.contract_foreign_key AS k
        JOIN pg_attribute AS a
          ON a.attrelid = format('public.%I', k.table_name)::regclass AND a.attname = k.column_name
        WHERE NOT EXISTS (
            SELECT FROM pg_constraint AS c
            WHERE c.conrelid = a.attrelid AND c.contype = 'f' AND c.convalidated
              AND c.conkey = ARRAY[a.attnum]
              AND c.confrelid = format('public.%I', k.parent_table)::regclass)
        ORDER BY k.key_no
    LOOP
        is_leaf := NOT EXISTS (SELECT FROM pg_constraint WHERE contype = 'f' AND confrelid = key.attrelid);
        CONTINUE WHEN key.attnotnull AND NOT is_leaf;

        orphans := format(
            'FROM public.%1$I AS t WHERE t.%2$I IS NOT NULL'
            ' AND NOT EXISTS (SELECT FROM public.%3$I AS p WHERE p.id = t.%2$I)',
            key.table_name, key.column_name, key.parent_table);
        EXECUTE format(
            'INSERT INTO oms_topology.set_aside (table_name, reason, "row") SELECT %L, %L, to_jsonb(t) %s',
            key.table_name,
            format('orphan: %s names no row of %s', key.column_name, key.parent_table),
            orphans);
        GET DIAGNOSTICS found = ROW_COUNT;
        CONTINUE WHEN found = 0;

        IF key.attnotnull THEN
            EXECUTE format('DELETE %s', orphans);
        ELSE
            EXECUTE format(
                'UPDATE public.%1$I AS t SET %2$I = NULL WHERE t.%2$I IS NOT NULL'
                ' AND NOT EXISTS (SELECT FROM public.%3$I AS p WHERE p.id = t.%2$I)',
                key.table_name, key.column_name, key.parent_table);
        END IF;
    END LOOP;
END
$$;

-- The old base script put its default rules in again at every run, having no key to conflict with. Of equal
-- rules the first stays; of different rules under one name the one that an operator touched last.
WITH ranked AS (
    SELECT r.id,
           row_number() OVER content AS copy_no,
           row_number() OVER name AS version_no
    FROM public.oms_correlation_rules AS r
    WINDOW content AS (
               PARTITION BY r.rule_name, r.source_types, r.correlation_window_minutes, r.spatial_radius_meters,
                            r.confidence_threshold, r.weight_scada, r.weight_kaifa, r.weight_onu,
                            r.weight_call_center, r.is_active
               ORDER BY r.created_at NULLS LAST, r.id),
           name AS (
               PARTITION BY r.rule_name
               ORDER BY r.is_active DESC NULLS LAST,
                        (r.updated_at IS DISTINCT FROM r.created_at) DESC,
                        CASE WHEN r.updated_at IS DISTINCT FROM r.created_at THEN r.updated_at END DESC NULLS LAST,
                        r.created_at NULLS LAST, r.id)
), removed AS (
    DELETE FROM public.oms_correlation_rules AS r
    USING ranked
    WHERE r.id = ranked.id AND ranked.version_no > 1
    RETURNING to_jsonb(r) AS "row", ranked.copy_no
)
INSERT INTO oms_topology.set_aside (table_name, reason, "row")
SELECT 'oms_correlation_rules',
       CASE WHEN copy_no > 1 THEN 'duplicate: same rule, same content'
            ELSE 'duplicate: same rule name, other content' END,
       "row"
FROM removed;

-- Storm mode has one configuration: the active one, else the one that changed last.
WITH ranked AS (
    SELECT id,
           row_number() OVER (
               ORDER BY is_active DESC NULLS LAST,
                        greatest(activated_at, deactivated_at) DESC NULLS LAST,
                        created_at NULLS LAST, id) AS version_no
    FROM public.oms_storm_mode_config
), removed AS (
    DELETE FROM public.oms_storm_mode_config AS s
    USING ranked
    WHERE s.id = ranked.id AND ranked.version_no > 1
    RETURNING to_jsonb(s) AS "row"
)
INSERT INTO oms_topology.set_aside (table_name, reason, "row")
SELECT 'oms_storm_mode_config', 'duplicate: there is one storm configuration', "row" FROM removed;

-- Values that break a rule. All rows are copied before the first is changed, so that a row which breaks two
-- rules stands aside twice as it was. A row that would equal another one once it is repaired moves aside.
DO $$
DECLARE
    broken record;
    found  bigint;
    place  tid;
    moved  text;
BEGIN
    CREATE TEMPORARY TABLE broken_check (check_no integer PRIMARY KEY) ON COMMIT DROP;
    FOR broken IN SELECT * FROM pg_temp.contract_check ORDER BY check_no LOOP
        EXECUTE format(
            'INSERT INTO oms_topology.set_aside (table_name, reason, "row")'
            ' SELECT %L, %L, to_jsonb(t) FROM public.%I AS t WHERE NOT (%s)',
            broken.table_name, 'illegal value: ' || broken.column_name, broken.table_name, broken.rule);
        GET DIAGNOSTICS found = ROW_COUNT;
        IF found > 0 THEN
            INSERT INTO pg_temp.broken_check VALUES (broken.check_no);
        END IF;
    END LOOP;

    FOR broken IN SELECT c.* FROM pg_temp.contract_check AS c JOIN pg_temp.broken_check USING (check_no) LOOP
        BEGIN
            EXECUTE format('UPDATE public.%I SET %I = %s WHERE NOT (%s)',
                           broken.table_name, broken.column_name, broken.repair, broken.rule);
        EXCEPTION WHEN unique_violation THEN
            FOR place IN
                EXECUTE format('SELECT ctid FROM public.%I WHERE NOT (%s)', broken.table_name, broken.rule)
            LOOP
                BEGIN
                    EXECUTE format('UPDATE public.%I SET %I = %s WHERE ctid = %L',
                                   broken.table_name, broken.column_name, broken.repair, place);
                EXCEPTION WHEN unique_violation THEN
                    EXECUTE format('DELETE FROM public.%I WHERE ctid = %L RETURNING id::text',
                                   broken.table_name, place)
                    INTO moved;
                    UPDATE oms_topology.set_aside
                    SET reason = reason || ', and repaired the row would repeat another one'
                    WHERE table_name = broken.table_name AND "row" ->> 'id' = moved
                      AND reason = 'illegal value: ' || broken.column_name;
                END;
            END LOOP;
        END;
    END LOOP;
END
$$;

-- A status that nobody ever set counts as unknown, a meter without a life-cycle as active, which is the
-- column's default. With NULL they fell out of every count.
WITH unset AS (
    SELECT id, power_status, communication_status, status
    FROM public.oms_meters
    WHERE power_status IS NULL OR communication_status IS NULL OR status IS NULL
), copied AS (
    INSERT INTO oms_topology.set_aside (table_name, reason, "row")
    SELECT 'oms_meters', 'no value: ' || concat_ws(', ',
               CASE WHEN power_status IS NULL THEN 'power_status' END,
               CASE WHEN communication_status IS NULL THEN 'communication_status' END,
               CASE WHEN status IS NULL THEN 'status' END),
           to_jsonb(unset)
    FROM unset
)
UPDATE public.oms_meters AS m
SET power_status = coalesce(m.power_status, 'unknown'),
    communication_status = coalesce(m.communication_status, 'unknown'),
    status = coalesce(m.status, 'active')
FROM unset
WHERE m.id = unset.id;
