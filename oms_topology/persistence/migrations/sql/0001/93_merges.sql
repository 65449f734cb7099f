-- Two rows of oms_meters that are one physical meter become one; both rows and all that was moved are kept, and
-- undo_merge() takes a merge back.

-- What of a meter's own names, place and links a merge may fill where the survivor has none.
CREATE FUNCTION oms_topology.filled_row(p_survivor jsonb, p_merged jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT COALESCE(jsonb_object_agg(c.name, p_merged -> c.name), '{}')
    FROM unnest(ARRAY['customer_id', 'substation_id', 'feeder_id', 'dp_id', 'building_id', 'asset_mrid',
                      'usage_point_mrid', 'onu_id', 'onu_serial_no']
                || CASE WHEN p_survivor ->> 'location_lat' IS NULL AND p_survivor ->> 'location_lng' IS NULL
                             AND p_merged ->> 'location_lat' IS NOT NULL AND p_merged ->> 'location_lng' IS NOT NULL
                        THEN ARRAY['location_lat', 'location_lng'] ELSE '{}' END) AS c (name)
    WHERE p_survivor ->> c.name IS NULL AND p_merged ->> c.name IS NOT NULL
$$;

-- Merges each of the second meters into the first beside it; a meter is merged once, and no survivor is. Returns how many.
CREATE FUNCTION oms_topology.merge_meters(p_survivor_nos integer[], p_merged_nos integer[], p_rules text[], p_evidence text[])
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    merged_ids uuid[];
    made       bigint[];
    kept       text := oms_topology.keep_mappings('on');
BEGIN
    PERFORM FROM public.oms_meters WHERE meter_no = ANY (p_survivor_nos || p_merged_nos)
    ORDER BY segment_no, position_no, meter_no FOR UPDATE;
    SELECT array_agg(m.id) INTO merged_ids FROM public.oms_meters m WHERE m.meter_no = ANY (p_merged_nos);
    WITH inserted AS (
        INSERT INTO oms_topology.meter_merge
            (survivor_no, survivor_number, merged_no, merged_number, rule, evidence, merged_row, survivor_row, moved)
        SELECT s.meter_no, s.meter_number, m.meter_no, m.meter_number, u.rule, u.evidence, to_jsonb(m), to_jsonb(s),
               jsonb_strip_nulls(jsonb_build_object(
                   'network_substation_meters', sm.rows, 'network_feeder_meters', fm.rows,
                   'oms_meter_status_events', se.ids, 'scada_event_affected_meters', am.rows, 'meters', om.ids,
                   'onu_events', oe.ids, 'kaifa_event_assets', ka.ids, 'kaifa_event_usage_points', ku.ids,
                   'callcenter_customers', cc.ids, 'meter_report', mr.rows, 'alternate_supply', asp.rows,
                   'meter_alias', ma.rows))
        FROM unnest(p_survivor_nos, p_merged_nos, p_rules, p_evidence) AS u (survivor_no, merged_no, rule, evidence)
        JOIN public.oms_meters s ON s.meter_no = u.survivor_no
        JOIN public.oms_meters m ON m.meter_no = u.merged_no
        LEFT JOIN (SELECT meter_id, jsonb_agg(to_jsonb(t) ORDER BY t.id) AS rows FROM public.network_substation_meters t
                   WHERE meter_id = ANY (merged_ids) GROUP BY meter_id) sm ON sm.meter_id = m.id
        LEFT JOIN (SELECT meter_id, jsonb_agg(to_jsonb(t) ORDER BY t.id) AS rows FROM public.network_feeder_meters t
                   WHERE meter_id = ANY (merged_ids) GROUP BY meter_id) fm ON fm.meter_id = m.id
        LEFT JOIN (SELECT meter_id, jsonb_agg(id ORDER BY id) AS ids FROM public.oms_meter_status_events
                   WHERE meter_id = ANY (merged_ids) GROUP BY meter_id) se ON se.meter_id = m.id
        LEFT JOIN (SELECT meter_id, jsonb_agg(to_jsonb(t) ORDER BY t.id) AS rows FROM public.scada_event_affected_meters t
                   WHERE meter_id = ANY (merged_ids) GROUP BY meter_id) am ON am.meter_id = m.id
        LEFT JOIN (SELECT oms_meter_id, jsonb_agg(id ORDER BY id) AS ids FROM public.meters
                   WHERE oms_meter_id = ANY (merged_ids) GROUP BY oms_meter_id) om ON om.oms_meter_id = m.id
        LEFT JOIN (SELECT meter_id, jsonb_agg(id ORDER BY id) AS ids FROM public.onu_events
                   WHERE meter_id = ANY (merged_ids) GROUP BY meter_id) oe ON oe.meter_id = m.id
        LEFT JOIN (SELECT meter_id, jsonb_agg(id ORDER BY id) AS ids FROM public.kaifa_event_assets
                   WHERE meter_id = ANY (merged_ids) GROUP BY meter_id) ka ON ka.meter_id = m.id
        LEFT JOIN (SELECT meter_id, jsonb_agg(id ORDER BY id) AS ids FROM public.kaifa_event_usage_points
                   WHERE meter_id = ANY (merged_ids) GROUP BY meter_id) ku ON ku.meter_id = m.id
        LEFT JOIN (SELECT meter_id, jsonb_agg(id ORDER BY id) AS ids FROM public.callcenter_customers
                   WHERE meter_id = ANY (merged_ids) GROUP BY meter_id) cc ON cc.meter_id = m.id
        LEFT JOIN (SELECT meter_no, jsonb_agg(to_jsonb(t) ORDER BY t.occurred_at, t.source, t.source_event_id) AS rows
                   FROM oms_topology.meter_report t WHERE meter_no = ANY (p_merged_nos) GROUP BY meter_no) mr ON mr.meter_no = m.meter_no
        LEFT JOIN (SELECT meter_no, jsonb_agg(to_jsonb(t) ORDER BY t.device_no) AS rows
                   FROM oms_topology.alternate_supply t WHERE meter_no = ANY (p_merged_nos) AND is_explicit
                   GROUP BY meter_no) asp ON asp.meter_no = m.meter_no
        LEFT JOIN (SELECT meter_no, jsonb_agg(to_jsonb(t) ORDER BY t.kind, t.name) AS rows
                   FROM oms_topology.meter_alias t WHERE meter_no = ANY (p_merged_nos) GROUP BY meter_no) ma ON ma.meter_no = m.meter_no
        ORDER BY s.meter_number COLLATE "C", m.meter_number COLLATE "C"
        RETURNING merge_no
    )
    SELECT array_agg(i.merge_no) INTO made FROM inserted i;
    PERFORM oms_topology.move_to_survivors(made);
    DELETE FROM public.oms_meters WHERE meter_no = ANY (p_merged_nos);
    PERFORM oms_topology.fill_survivors(made);
    PERFORM oms_topology.reassess_merged(made, p_survivor_nos);
    PERFORM oms_topology.keep_mappings(kept);
    RETURN COALESCE(cardinality(made), 0);
END $$;

-- Everything that names a merged meter names its survivor from now on. Mappings that the survivor has already go
-- with the merged row.
CREATE FUNCTION oms_topology.move_to_survivors(p_merge_nos bigint[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    merged record;
    old_ids uuid[];
    new_ids uuid[];
    old_nos integer[];
    new_nos integer[];
BEGIN
    SELECT array_agg(m.id), array_agg(s.id), array_agg(m.meter_no), array_agg(s.meter_no) INTO old_ids, new_ids, old_nos, new_nos
    FROM oms_topology.meter_merge g
    JOIN public.oms_meters m ON m.meter_no = g.merged_no
    JOIN public.oms_meters s ON s.meter_no = g.survivor_no
    WHERE g.merge_no = ANY (p_merge_nos);
    UPDATE public.network_substation_meters t SET meter_id = b.new_id
    FROM (SELECT DISTINCT ON (x.substation_id, u.new_id) x.id, u.new_id
          FROM public.network_substation_meters x
          JOIN unnest(old_ids, new_ids) AS u (old_id, new_id) ON u.old_id = x.meter_id
          WHERE NOT EXISTS (SELECT FROM public.network_substation_meters y
                            WHERE y.substation_id = x.substation_id AND y.meter_id = u.new_id)
          ORDER BY x.substation_id, u.new_id, x.priority, x.created_at, x.id) b WHERE t.id = b.id;
    UPDATE public.network_feeder_meters t SET meter_id = b.new_id
    FROM (SELECT DISTINCT ON (x.feeder_id, u.new_id) x.id, u.new_id
          FROM public.network_feeder_meters x
          JOIN unnest(old_ids, new_ids) AS u (old_id, new_id) ON u.old_id = x.meter_id
          WHERE NOT EXISTS (SELECT FROM public.network_feeder_meters y
                            WHERE y.feeder_id = x.feeder_id AND y.meter_id = u.new_id)
          ORDER BY x.feeder_id, u.new_id, x.priority, x.created_at, x.id) b WHERE t.id = b.id;
    UPDATE public.oms_meter_status_events t SET meter_id = u.new_id
    FROM unnest(old_ids, new_ids) AS u (old_id, new_id) WHERE t.meter_id = u.old_id;
    UPDATE public.scada_event_affected_meters t SET meter_id = u.new_id
    FROM unnest(old_ids, new_ids) AS u (old_id, new_id)
    WHERE t.meter_id = u.old_id AND NOT EXISTS (
        SELECT FROM public.scada_event_affected_meters y WHERE y.scada_event_id = t.scada_event_id AND y.meter_id = u.new_id);
    UPDATE public.meters t SET oms_meter_id = u.new_id
    FROM unnest(old_ids, new_ids) AS u (old_id, new_id) WHERE t.oms_meter_id = u.old_id;
    UPDATE public.onu_events t SET meter_id = u.new_id
    FROM unnest(old_ids, new_ids) AS u (old_id, new_id) WHERE t.meter_id = u.old_id;
    UPDATE public.kaifa_event_assets t SET meter_id = u.new_id
    FROM unnest(old_ids, new_ids) AS u (old_id, new_id) WHERE t.meter_id = u.old_id;
    UPDATE public.kaifa_event_usage_points t SET meter_id = u.new_id
    FROM unnest(old_ids, new_ids) AS u (old_id, new_id) WHERE t.meter_id = u.old_id;
    UPDATE public.callcenter_customers t SET meter_id = u.new_id
    FROM unnest(old_ids, new_ids) AS u (old_id, new_id) WHERE t.meter_id = u.old_id;
    UPDATE oms_topology.meter_report t SET meter_no = u.new_no
    FROM unnest(old_nos, new_nos) AS u (old_no, new_no) WHERE t.meter_no = u.old_no;
    UPDATE oms_topology.meter_alias t SET meter_no = u.new_no
    FROM unnest(old_nos, new_nos) AS u (old_no, new_no) WHERE t.meter_no = u.old_no;
    INSERT INTO oms_topology.alternate_supply (meter_no, device_no, priority, is_explicit)
    SELECT DISTINCT ON (u.new_no, a.device_no) u.new_no, a.device_no, a.priority, true
    FROM unnest(old_nos, new_nos) AS u (old_no, new_no)
    JOIN oms_topology.alternate_supply a ON a.meter_no = u.old_no AND a.is_explicit
    ORDER BY u.new_no, a.device_no, a.priority
    ON CONFLICT (meter_no, device_no) DO NOTHING;
END $$;

-- Survivors get what only the merged rows had, of several the first by number, and keep their other names.
CREATE FUNCTION oms_topology.fill_survivors(p_merge_nos bigint[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE public.oms_meters s
    SET (customer_id, substation_id, feeder_id, dp_id, building_id, asset_mrid, usage_point_mrid, onu_id, onu_serial_no,
         location_lat, location_lng)
        = (SELECT n.customer_id, n.substation_id, n.feeder_id, n.dp_id, n.building_id, n.asset_mrid, n.usage_point_mrid,
                  n.onu_id, n.onu_serial_no, n.location_lat, n.location_lng
           FROM jsonb_populate_record(s, f.filled) AS n)
    FROM (SELECT v.survivor_no, jsonb_object_agg(v.key, v.value) AS filled
          FROM (SELECT DISTINCT ON (g.survivor_no, e.key) g.survivor_no, e.key, e.value
                FROM oms_topology.meter_merge g
                CROSS JOIN LATERAL jsonb_each(oms_topology.filled_row(g.survivor_row, g.merged_row)) e
                WHERE g.merge_no = ANY (p_merge_nos)
                ORDER BY g.survivor_no, e.key, g.merged_number COLLATE "C") v
          GROUP BY v.survivor_no) f
    WHERE s.meter_no = f.survivor_no;
    INSERT INTO oms_topology.meter_alias (kind, name, meter_no, rule)
    SELECT DISTINCT ON (n.kind, n.name) n.kind, n.name, g.survivor_no, g.rule
    FROM oms_topology.meter_merge g
    JOIN public.oms_meters s ON s.meter_no = g.survivor_no
    CROSS JOIN LATERAL (VALUES ('number', oms_topology.meter_key(g.merged_number), oms_topology.meter_key(s.meter_number)),
                               ('asset_mrid', oms_topology.meter_key(g.merged_row ->> 'asset_mrid'), oms_topology.meter_key(s.asset_mrid))
                       ) AS n (kind, name, own)
    WHERE g.merge_no = ANY (p_merge_nos) AND n.name <> '' AND n.name IS DISTINCT FROM n.own
    ORDER BY n.kind, n.name, g.survivor_number COLLATE "C"
    ON CONFLICT (kind, name) DO UPDATE SET meter_no = excluded.meter_no, rule = excluded.rule;
END $$;

-- Status is what all reports of the one meter say.
CREATE FUNCTION oms_topology.reassess_merged(p_merge_nos bigint[], p_meter_nos integer[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    said record;
BEGIN
    SELECT array_agg(DISTINCT m.meter_no) AS meter_nos, min(r.occurred_at) AS first_at INTO said
    FROM oms_topology.meter_merge g
    CROSS JOIN LATERAL jsonb_to_recordset(g.moved -> 'meter_report') AS r (occurred_at timestamptz)
    CROSS JOIN LATERAL (VALUES (g.survivor_no), (g.merged_no)) AS either (meter_no)
    JOIN unnest(p_meter_nos) AS asked (meter_no) ON asked.meter_no = either.meter_no
    JOIN public.oms_meters m ON m.meter_no = either.meter_no
    WHERE g.merge_no = ANY (p_merge_nos);
    IF said.meter_nos IS NOT NULL THEN
        PERFORM oms_topology.reassess_communication(said.meter_nos, said.first_at);
        PERFORM oms_topology.reassess_meters(said.meter_nos, said.first_at, 0);
    END IF;
END $$;

-- Takes a merge back: the merged row stands again under its old ids, with what was moved away from it. The two are
-- kept apart from then on. NULL if there is no such merge, or it is undone already; else the number of the row.
CREATE FUNCTION oms_topology.undo_merge(p_merge_no bigint) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    taken    oms_topology.meter_merge;
    old_row  public.oms_meters;
    survivor uuid;
    kept     text;
BEGIN
    SELECT * INTO taken FROM oms_topology.meter_merge WHERE merge_no = p_merge_no AND undone_at IS NULL FOR UPDATE;
    IF taken.merge_no IS NULL THEN
        RETURN NULL;
    END IF;
    kept := oms_topology.keep_mappings('on');
    old_row := jsonb_populate_record(NULL::public.oms_meters, taken.merged_row);
    SELECT id INTO survivor FROM public.oms_meters WHERE meter_no = taken.survivor_no FOR UPDATE;
    DELETE FROM oms_topology.meter_alias a
    WHERE a.meter_no = taken.survivor_no AND (a.kind, a.name) IN (
        ('number', oms_topology.meter_key(taken.merged_number)), ('asset_mrid', oms_topology.meter_key(old_row.asset_mrid)));
    UPDATE public.oms_meters s
    SET (customer_id, substation_id, feeder_id, dp_id, building_id, asset_mrid, usage_point_mrid, onu_id, onu_serial_no,
         location_lat, location_lng)
        = (SELECT n.customer_id, n.substation_id, n.feeder_id, n.dp_id, n.building_id, n.asset_mrid, n.usage_point_mrid,
                  n.onu_id, n.onu_serial_no, n.location_lat, n.location_lng
           FROM jsonb_populate_record(s, (
               SELECT COALESCE(jsonb_object_agg(f.key, NULL::text), '{}')
               FROM jsonb_each(oms_topology.filled_row(taken.survivor_row, taken.merged_row)) f
               WHERE to_jsonb(s) -> f.key = f.value)) AS n)
    WHERE s.meter_no = taken.survivor_no;
    -- What the row referred to may be gone since; its statuses come from its reports, below.
    old_row.customer_id := (SELECT id FROM public.oms_customers WHERE id = old_row.customer_id);
    old_row.substation_id := (SELECT id FROM public.network_substations WHERE id = old_row.substation_id);
    old_row.feeder_id := (SELECT id FROM public.network_feeders WHERE id = old_row.feeder_id);
    old_row.dp_id := (SELECT id FROM public.network_distribution_points WHERE id = old_row.dp_id);
    old_row.device_no := NULL;
    old_row.listed_device_no := NULL;
    old_row.segment_no := NULL;
    old_row.position_no := NULL;
    old_row.device_is_explicit := false;
    old_row.supply_is_stale := true;
    old_row.power_status := 'unknown';
    INSERT INTO public.oms_meters SELECT old_row.*;
    PERFORM oms_topology.move_back(taken, old_row.id, survivor);
    UPDATE oms_topology.meter_merge SET undone_at = now() WHERE merge_no = p_merge_no;
    PERFORM oms_topology.reassess_merged(ARRAY[p_merge_no], ARRAY[taken.survivor_no, taken.merged_no]);
    PERFORM oms_topology.keep_mappings(kept);
    RETURN taken.merged_number;
END $$;

CREATE FUNCTION oms_topology.move_back(p_taken oms_topology.meter_merge, p_old_id uuid, p_survivor uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM public.network_substation_meters t
    USING jsonb_populate_recordset(NULL::public.network_substation_meters, p_taken.moved -> 'network_substation_meters') r
    WHERE t.id = r.id AND t.meter_id = p_survivor;
    INSERT INTO public.network_substation_meters
    SELECT r.* FROM jsonb_populate_recordset(NULL::public.network_substation_meters, p_taken.moved -> 'network_substation_meters') r
    WHERE EXISTS (SELECT FROM public.network_substations s WHERE s.id = r.substation_id)
      AND (r.feeder_id IS NULL OR EXISTS (SELECT FROM public.network_feeders f WHERE f.id = r.feeder_id))
    ON CONFLICT DO NOTHING;
    DELETE FROM public.network_feeder_meters t
    USING jsonb_populate_recordset(NULL::public.network_feeder_meters, p_taken.moved -> 'network_feeder_meters') r
    WHERE t.id = r.id AND t.meter_id = p_survivor;
    INSERT INTO public.network_feeder_meters
    SELECT r.* FROM jsonb_populate_recordset(NULL::public.network_feeder_meters, p_taken.moved -> 'network_feeder_meters') r
    WHERE EXISTS (SELECT FROM public.network_feeders f WHERE f.id = r.feeder_id)
    ON CONFLICT DO NOTHING;
    UPDATE public.oms_meter_status_events t SET meter_id = p_old_id
    FROM jsonb_array_elements_text(p_taken.moved -> 'oms_meter_status_events') i
    WHERE t.id = i::uuid AND t.meter_id = p_survivor;
    UPDATE public.scada_event_affected_meters t SET meter_id = p_old_id
    FROM jsonb_populate_recordset(NULL::public.scada_event_affected_meters, p_taken.moved -> 'scada_event_affected_meters') r
    WHERE t.id = r.id AND t.meter_id = p_survivor;
    INSERT INTO oms_topology.scada_event_affected_meter
    SELECT r.* FROM jsonb_populate_recordset(NULL::public.scada_event_affected_meters, p_taken.moved -> 'scada_event_affected_meters') r
    WHERE NOT EXISTS (SELECT FROM public.scada_event_affected_meters t WHERE t.id = r.id);
    UPDATE public.meters t SET oms_meter_id = p_old_id
    FROM jsonb_array_elements_text(p_taken.moved -> 'meters') i WHERE t.id = i::integer AND t.oms_meter_id = p_survivor;
    UPDATE public.onu_events t SET meter_id = p_old_id
    FROM jsonb_array_elements_text(p_taken.moved -> 'onu_events') i WHERE t.id = i::integer AND t.meter_id = p_survivor;
    UPDATE public.kaifa_event_assets t SET meter_id = p_old_id
    FROM jsonb_array_elements_text(p_taken.moved -> 'kaifa_event_assets') i WHERE t.id = i::uuid AND t.meter_id = p_survivor;
    UPDATE public.kaifa_event_usage_points t SET meter_id = p_old_id
    FROM jsonb_array_elements_text(p_taken.moved -> 'kaifa_event_usage_points') i WHERE t.id = i::uuid AND t.meter_id = p_survivor;
    UPDATE public.callcenter_customers t SET meter_id = p_old_id
    FROM jsonb_array_elements_text(p_taken.moved -> 'callcenter_customers') i WHERE t.id = i::uuid AND t.meter_id = p_survivor;
    UPDATE oms_topology.meter_report t SET meter_no = p_taken.merged_no
    FROM jsonb_populate_recordset(NULL::oms_topology.meter_report, p_taken.moved -> 'meter_report') r
    WHERE t.meter_no = p_taken.survivor_no AND t.occurred_at = r.occurred_at AND t.source = r.source
      AND t.source_event_id = r.source_event_id AND t.signal_no IS NOT DISTINCT FROM r.signal_no;
    UPDATE oms_topology.meter_alias t SET meter_no = p_taken.merged_no
    FROM jsonb_populate_recordset(NULL::oms_topology.meter_alias, p_taken.moved -> 'meter_alias') r
    WHERE t.kind = r.kind AND t.name = r.name AND t.meter_no = p_taken.survivor_no;
    INSERT INTO oms_topology.alternate_supply (meter_no, device_no, priority, is_explicit)
    SELECT p_taken.merged_no, r.device_no, r.priority, true
    FROM jsonb_populate_recordset(NULL::oms_topology.alternate_supply, p_taken.moved -> 'alternate_supply') r
    WHERE EXISTS (SELECT FROM oms_topology.device d WHERE d.device_no = r.device_no)
    ON CONFLICT DO NOTHING;
END $$;
