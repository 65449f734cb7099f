-- Each table with updated_at stamps it on every update, by the triggers of the deployed database.

CREATE TRIGGER oms_network_substations_updated_at BEFORE UPDATE ON public.network_substations
    FOR EACH ROW EXECUTE FUNCTION public.oms_update_updated_at();
CREATE TRIGGER oms_network_feeders_updated_at BEFORE UPDATE ON public.network_feeders
    FOR EACH ROW EXECUTE FUNCTION public.oms_update_updated_at();
CREATE TRIGGER oms_network_dp_updated_at BEFORE UPDATE ON public.network_distribution_points
    FOR EACH ROW EXECUTE FUNCTION public.oms_update_updated_at();
CREATE TRIGGER oms_customers_updated_at BEFORE UPDATE ON public.oms_customers
    FOR EACH ROW EXECUTE FUNCTION public.oms_update_updated_at();
CREATE TRIGGER oms_smart_meters_updated_at BEFORE UPDATE ON public.oms_smart_meters
    FOR EACH ROW EXECUTE FUNCTION public.oms_update_updated_at();
CREATE TRIGGER oms_onu_devices_updated_at BEFORE UPDATE ON public.oms_onu_devices
    FOR EACH ROW EXECUTE FUNCTION public.oms_update_updated_at();
CREATE TRIGGER cc_tickets_updated_at BEFORE UPDATE ON public.callcenter_tickets
    FOR EACH ROW EXECUTE FUNCTION public.cc_update_updated_at();
CREATE TRIGGER kaifa_events_updated_at BEFORE UPDATE ON public.kaifa_events
    FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column();

-- The set-based writes set updated_at themselves; a call of the function per row would be the dearest part
-- of a trip.
CREATE TRIGGER onu_onus_updated_at BEFORE UPDATE ON public.onus
    FOR EACH ROW WHEN (OLD.updated_at IS NOT DISTINCT FROM NEW.updated_at)
    EXECUTE FUNCTION public.onu_update_updated_at();
CREATE TRIGGER oms_meters_updated_at BEFORE UPDATE ON public.oms_meters
    FOR EACH ROW WHEN (OLD.updated_at IS NOT DISTINCT FROM NEW.updated_at)
    EXECUTE FUNCTION public.oms_update_updated_at();

-- Whoever changes an outage, it says when.
CREATE FUNCTION oms_topology.stamp_outage() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.last_updated_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER oms_topology_stamp_outage BEFORE UPDATE ON public.oms_outage_events
    FOR EACH ROW WHEN (OLD.last_updated_at IS NOT DISTINCT FROM NEW.last_updated_at)
    EXECUTE FUNCTION oms_topology.stamp_outage();

-- What is taken out of the registry does not stay for the sake of its outages: these stay, and say so.
CREATE FUNCTION oms_topology.leave_outages() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    WITH left_alone AS (
        UPDATE public.oms_outage_events e
        SET substation_id = CASE WHEN TG_TABLE_NAME <> 'network_substations' THEN e.substation_id END,
            feeder_id = CASE WHEN TG_TABLE_NAME <> 'network_feeders' THEN e.feeder_id END,
            dp_id = CASE WHEN TG_TABLE_NAME <> 'network_distribution_points' THEN e.dp_id END
        WHERE CASE TG_TABLE_NAME WHEN 'network_substations' THEN e.substation_id WHEN 'network_feeders' THEN e.feeder_id
                                 ELSE e.dp_id END = OLD.id
        RETURNING e.id, e.status
    )
    INSERT INTO public.oms_event_timeline (outage_event_id, event_type, status, description, source, metadata)
    SELECT l.id, 'updated', l.status, 'Its place was taken out of the registry.', 'system',
           jsonb_build_object('table', TG_TABLE_NAME, 'id', OLD.id)
    FROM left_alone l;
    RETURN OLD;
END $$;
CREATE TRIGGER oms_topology_leave_outages BEFORE DELETE ON public.network_substations
    FOR EACH ROW EXECUTE FUNCTION oms_topology.leave_outages();
CREATE TRIGGER oms_topology_leave_outages BEFORE DELETE ON public.network_feeders
    FOR EACH ROW EXECUTE FUNCTION oms_topology.leave_outages();
CREATE TRIGGER oms_topology_leave_outages BEFORE DELETE ON public.network_distribution_points
    FOR EACH ROW EXECUTE FUNCTION oms_topology.leave_outages();
