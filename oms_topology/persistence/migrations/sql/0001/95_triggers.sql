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
