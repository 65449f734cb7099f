-- History that came before the library: events that an old installation stored are correlated as live ones
-- are, in the order in which they happened, each once.

-- The stored events that speak of lost supply and stand behind no outage yet.
CREATE FUNCTION oms_topology.uncorrelated_events()
RETURNS TABLE (source_type text, source_event_id text, happened_at timestamptz, latitude numeric, longitude numeric)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT e.source_type, e.source_event_id, e.happened_at, e.latitude, e.longitude
    FROM (
        SELECT 'scada' AS source_type, s.id::text AS source_event_id, s.event_timestamp AS happened_at,
               s.latitude, s.longitude
        FROM public.scada_events s
        WHERE s.outage_event_id IS NULL
          AND (s.event_type IN ('BreakerTrip', 'FuseTrip', 'Alarm') AND lower(s.alarm_type) NOT IN ('energized', 'energised')
               OR oms_topology.scada_power_status(COALESCE(NULLIF(s.alarm_type, 'N/A'), s.event_type)) = 'off')
        UNION ALL
        SELECT 'kaifa', k.id::text, k.event_timestamp, NULL, NULL
        FROM public.kaifa_events k
        WHERE EXISTS (
            SELECT FROM public.kaifa_event_payloads p
            LEFT JOIN oms_topology.end_device_event_code c ON lower(c.code) = lower(p.event_type_ref)
            WHERE p.event_id = k.id
              AND (c.power_status = 'off' OR k.message_type = 'LastGasp' AND EXISTS (
                  SELECT FROM public.kaifa_event_status t WHERE t.payload_id = p.id AND lower(t.value) = 'offline')))
        UNION ALL
        SELECT 'onu', o.event_id, o."timestamp", o.location_lat, o.location_lng
        FROM public.onu_events o WHERE oms_topology.onu_power_status(o.event_type) = 'off'
        UNION ALL
        SELECT 'call_center', t.id::text, t.intake_timestamp, NULL, NULL
        FROM public.callcenter_tickets t WHERE t.status = 'Registered'
    ) e
    WHERE e.happened_at BETWEEN '2000-01-01Z' AND now() + interval '5 minutes'
      AND NOT EXISTS (SELECT FROM public.oms_event_sources x
                      WHERE x.source_type = e.source_type AND x.source_event_id = e.source_event_id)
$$;

-- Correlates what is not yet; the counts are of this run, so a second run gives zeros.
DROP FUNCTION IF EXISTS public.migrate_and_correlate_events();
CREATE FUNCTION public.migrate_and_correlate_events()
RETURNS TABLE (migrated_events integer, correlated_outages integer, scada_events integer, kaifa_events integer,
               onu_events integer, call_center_events integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    event   record;
    counts  jsonb := '{}';
    outages uuid[] := '{}';
    outage  uuid;
BEGIN
    PERFORM oms_topology.settle();
    -- One lock that keeps all live calls out, not thousands.
    PERFORM pg_advisory_xact_lock(hashtext('oms_topology.correlate'), 0);
    FOR event IN
        SELECT * FROM oms_topology.uncorrelated_events() u
        ORDER BY u.happened_at, u.source_type, u.source_event_id COLLATE "C"
    LOOP
        outage := oms_topology.correlate(
            'outage', event.source_type,
            oms_topology.correlation_scope_of(event.source_type, event.source_event_id, event.latitude, event.longitude),
            event.happened_at, interval '30 minutes', 1000);
        IF outage IS NOT NULL THEN
            counts := jsonb_set(counts, ARRAY[event.source_type],
                                to_jsonb(COALESCE((counts ->> event.source_type)::integer, 0) + 1));
            outages := outages || outage;
        END IF;
    END LOOP;
    RETURN QUERY SELECT cardinality(outages), (SELECT count(DISTINCT o)::integer FROM unnest(outages) o),
        COALESCE((counts ->> 'scada')::integer, 0), COALESCE((counts ->> 'kaifa')::integer, 0),
        COALESCE((counts ->> 'onu')::integer, 0), COALESCE((counts ->> 'call_center')::integer, 0);
END $$;

-- One row a check, PASS, WARNING or FAIL, with how many rows it is about.
DROP FUNCTION IF EXISTS public.validate_migrated_data();
CREATE FUNCTION public.validate_migrated_data()
RETURNS TABLE (validation_check character varying, status character varying, count_value integer, message text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT c.name::varchar, CASE WHEN c.bad = 0 THEN 'PASS' ELSE c.otherwise END::varchar, c.bad::integer,
           CASE WHEN c.bad = 0 THEN c.good_text ELSE c.bad_text END
    FROM (VALUES
        (1, 'uncorrelated_events', (SELECT count(*) FROM oms_topology.uncorrelated_events()), 'WARNING',
         'Every stored event of lost supply stands behind an outage.',
         'Stored events stand behind no outage; run migrate_and_correlate_events().'),
        (2, 'outages_without_source', (SELECT count(*) FROM public.oms_outage_events e WHERE NOT EXISTS (
             SELECT FROM public.oms_event_sources s WHERE s.outage_event_id = e.id)), 'WARNING',
         'Every outage has a source.', 'Outages have no source.'),
        (3, 'outages_without_timeline', (SELECT count(*) FROM public.oms_outage_events e WHERE NOT EXISTS (
             SELECT FROM public.oms_event_timeline t WHERE t.outage_event_id = e.id)), 'WARNING',
         'Every outage has a timeline.', 'Outages have no timeline.'),
        (4, 'sources_in_several_outages', (SELECT count(*) FROM (
             SELECT FROM public.oms_event_sources s WHERE s.source_type <> 'scada'
             GROUP BY s.source_type, s.source_event_id HAVING count(*) > 1) x), 'FAIL',
         'No source stands behind two outages.', 'Sources stand behind several outages.'),
        (5, 'confidence_out_of_range', (SELECT count(*) FROM public.oms_outage_events e
             WHERE e.confidence_score IS NULL OR e.confidence_score NOT BETWEEN 0 AND 1), 'FAIL',
         'Every confidence lies between 0 and 1.', 'Confidences are missing or lie outside 0 and 1.'),
        (6, 'callers_without_meter', (SELECT count(*) FROM public.callcenter_customers c
             WHERE c.meter_id IS NULL AND btrim(c.meter_number) <> ''), 'WARNING',
         'Every caller with a meter number is linked.', 'Callers are not linked; run sync_callcenter_tickets_to_meters().'),
        (7, 'meters_without_supply', (SELECT count(*) FROM public.oms_meters m
             WHERE COALESCE(m.status, 'active') = 'active' AND m.feeder_id IS NULL AND m.dp_id IS NULL AND m.substation_id IS NULL
               AND NOT EXISTS (SELECT FROM public.network_feeder_meters f WHERE f.meter_id = m.id)
               AND NOT EXISTS (SELECT FROM public.network_substation_meters s WHERE s.meter_id = m.id)), 'WARNING',
         'Every active meter has a place in the network.', 'Active meters have no place in the network.')
    ) AS c (place, name, bad, otherwise, good_text, bad_text)
    ORDER BY c.place
$$;

DROP VIEW IF EXISTS public.oms_migration_summary;
CREATE VIEW public.oms_migration_summary AS
SELECT c.component, c.count, c.detail
FROM (
    SELECT 1 AS place, 'Substations'::text AS component, count(*) AS count,
           count(*) FILTER (WHERE s.location_lat IS NOT NULL)::text || ' with coordinates' AS detail
    FROM public.network_substations s
    UNION ALL
    SELECT 2, 'Feeders', count(*), count(*) FILTER (WHERE f.location_lat IS NOT NULL)::text || ' with coordinates'
    FROM public.network_feeders f
    UNION ALL
    SELECT 3, 'Distribution Points', count(*), count(*) FILTER (WHERE d.location_lat IS NOT NULL)::text || ' with coordinates'
    FROM public.network_distribution_points d
    UNION ALL
    SELECT 4, 'Customers', count(*), count(*) FILTER (WHERE c.dp_id IS NOT NULL)::text || ' at a distribution point'
    FROM public.oms_customers c
    UNION ALL
    SELECT 5, 'Meters', count(*), count(*) FILTER (WHERE m.status = 'active')::text || ' active'
    FROM public.oms_meters m
    UNION ALL
    SELECT 6, 'Smart Meters', count(*), count(*) FILTER (WHERE k.customer_id IS NOT NULL)::text || ' with customer'
    FROM public.oms_smart_meters k
    UNION ALL
    SELECT 7, 'ONU Devices', count(*), count(*) FILTER (WHERE o.customer_id IS NOT NULL)::text || ' with customer'
    FROM public.oms_onu_devices o
    UNION ALL
    SELECT 8, 'Outage Events', count(*),
           count(*) FILTER (WHERE e.status IN ('detected', 'confirmed', 'in_progress'))::text || ' open'
    FROM public.oms_outage_events e
    UNION ALL
    SELECT 9, 'Event Sources', count(*), count(DISTINCT x.outage_event_id)::text || ' outages with sources'
    FROM public.oms_event_sources x
) c
ORDER BY c.place;
