-- Secondary indexes: those of the deployed database that pay, and those that were missing and felt.

-- Each of these repeats a unique key or is the beginning of a wider one.

DROP INDEX IF EXISTS public.idx_meters_meter_id;
DROP INDEX IF EXISTS public.idx_onu_events_event_id;
DROP INDEX IF EXISTS public.idx_onus_serial;
DROP INDEX IF EXISTS public.idx_kaifa_event_headers_msg_id;
DROP INDEX IF EXISTS public.idx_substation_meters_substation;
DROP INDEX IF EXISTS public.idx_feeder_meters_feeder;
DROP INDEX IF EXISTS public.idx_scada_affected_meters_event;
DROP INDEX IF EXISTS public.idx_oms_event_sources_outage;
DROP INDEX IF EXISTS public.idx_oms_event_sources_type;

-- Indexes on what every event changes make each update write a new entry into every index of the table
-- (no heap-only tuples). Open outages have a partial index of their own below.
DROP INDEX IF EXISTS public.idx_onus_power_flag;
DROP INDEX IF EXISTS public.idx_onus_power_date;
DROP INDEX IF EXISTS public.idx_oms_outage_events_confidence;
DROP INDEX IF EXISTS public.idx_oms_outage_events_severity;
DROP INDEX IF EXISTS public.idx_oms_outage_events_status;

-- Three or four distinct values each: never chosen by the planner, paid for at every insert.
DROP INDEX IF EXISTS public.idx_substation_meters_priority;
DROP INDEX IF EXISTS public.idx_onu_events_alarm_category;
DROP INDEX IF EXISTS public.idx_onu_events_type;
DROP INDEX IF EXISTS public.idx_kaifa_events_type;
DROP INDEX IF EXISTS public.idx_kaifa_event_details_name;

-- Times of an event's parts: that of the event itself has an index.
DROP INDEX IF EXISTS public.idx_kaifa_event_status_dt;
DROP INDEX IF EXISTS public.idx_kaifa_event_payloads_created_dt;

-- An event is found by its message or its meter; by these nothing of the database asks, and each costs every event.
DROP INDEX IF EXISTS public.idx_kaifa_event_payloads_event_id_value;
DROP INDEX IF EXISTS public.idx_kaifa_event_assets_mrid;
DROP INDEX IF EXISTS public.idx_kaifa_event_usage_points_mrid;

-- The audit is written a thousand rows at a time and read by meter: one index, by meter and time.
DROP INDEX IF EXISTS public.idx_meter_status_events_meter;
DROP INDEX IF EXISTS public.idx_meter_status_events_source;
DROP INDEX IF EXISTS public.idx_meter_status_events_timestamp;
DROP INDEX IF EXISTS public.idx_meter_status_events_type;

-- Network topology
CREATE INDEX IF NOT EXISTS idx_network_substations_lat ON public.network_substations (location_lat);
CREATE INDEX IF NOT EXISTS idx_network_substations_lng ON public.network_substations (location_lng);
CREATE INDEX IF NOT EXISTS idx_network_feeders_lat ON public.network_feeders (location_lat);
CREATE INDEX IF NOT EXISTS idx_network_feeders_lng ON public.network_feeders (location_lng);
CREATE INDEX IF NOT EXISTS idx_network_feeders_substation ON public.network_feeders (substation_id);
CREATE INDEX IF NOT EXISTS idx_network_dp_feeder ON public.network_distribution_points (feeder_id);
CREATE INDEX IF NOT EXISTS idx_network_dp_lat ON public.network_distribution_points (location_lat);
CREATE INDEX IF NOT EXISTS idx_network_dp_lng ON public.network_distribution_points (location_lng);
CREATE INDEX IF NOT EXISTS idx_network_dp_building ON public.network_distribution_points (building_id);

-- Customers and the older registries
CREATE INDEX IF NOT EXISTS idx_oms_customers_building ON public.oms_customers (building_id);
CREATE INDEX IF NOT EXISTS idx_oms_customers_lat ON public.oms_customers (location_lat);
CREATE INDEX IF NOT EXISTS idx_oms_customers_lng ON public.oms_customers (location_lng);
CREATE INDEX IF NOT EXISTS idx_oms_customers_phone ON public.oms_customers (phone);
CREATE INDEX IF NOT EXISTS idx_oms_smart_meters_customer ON public.oms_smart_meters (customer_id);
CREATE INDEX IF NOT EXISTS idx_oms_smart_meters_dp ON public.oms_smart_meters (dp_id);
CREATE INDEX IF NOT EXISTS idx_oms_smart_meters_lat ON public.oms_smart_meters (location_lat);
CREATE INDEX IF NOT EXISTS idx_oms_smart_meters_lng ON public.oms_smart_meters (location_lng);
CREATE INDEX IF NOT EXISTS idx_oms_onu_devices_customer ON public.oms_onu_devices (customer_id);
CREATE INDEX IF NOT EXISTS idx_oms_onu_devices_dp ON public.oms_onu_devices (dp_id);
CREATE INDEX IF NOT EXISTS idx_oms_onu_devices_lat ON public.oms_onu_devices (location_lat);
CREATE INDEX IF NOT EXISTS idx_oms_onu_devices_lng ON public.oms_onu_devices (location_lng);
CREATE INDEX IF NOT EXISTS idx_oms_customers_dp ON public.oms_customers (dp_id);

-- Outages
CREATE INDEX IF NOT EXISTS idx_oms_outage_events_detected ON public.oms_outage_events (first_detected_at DESC);
CREATE INDEX IF NOT EXISTS idx_oms_outage_events_dp ON public.oms_outage_events (dp_id);
CREATE INDEX IF NOT EXISTS idx_oms_outage_events_feeder ON public.oms_outage_events (feeder_id);
CREATE INDEX IF NOT EXISTS idx_oms_outage_events_lat ON public.oms_outage_events (event_latitude);
CREATE INDEX IF NOT EXISTS idx_oms_outage_events_lng ON public.oms_outage_events (event_longitude);
CREATE INDEX IF NOT EXISTS idx_oms_outage_events_substation ON public.oms_outage_events (substation_id);
CREATE INDEX IF NOT EXISTS idx_oms_event_sources_detected ON public.oms_event_sources (detected_at DESC);
CREATE INDEX IF NOT EXISTS idx_oms_event_timeline_outage ON public.oms_event_timeline (outage_event_id);
CREATE INDEX IF NOT EXISTS idx_oms_event_timeline_timestamp ON public.oms_event_timeline ("timestamp" DESC);
CREATE INDEX IF NOT EXISTS idx_oms_event_timeline_type ON public.oms_event_timeline (event_type);
CREATE INDEX IF NOT EXISTS idx_oms_crew_assignments_crew ON public.oms_crew_assignments (crew_id);
CREATE INDEX IF NOT EXISTS idx_oms_crew_assignments_outage ON public.oms_crew_assignments (outage_event_id);
CREATE INDEX IF NOT EXISTS idx_oms_crew_assignments_status ON public.oms_crew_assignments (status);
CREATE INDEX IF NOT EXISTS idx_oms_customer_notifications_customer ON public.oms_customer_notifications (customer_id);
CREATE INDEX IF NOT EXISTS idx_oms_customer_notifications_outage
    ON public.oms_customer_notifications (outage_event_id);
CREATE INDEX IF NOT EXISTS idx_oms_customer_notifications_status ON public.oms_customer_notifications (status);
CREATE INDEX IF NOT EXISTS idx_oms_event_sources_source ON public.oms_event_sources (source_type, source_event_id);
CREATE INDEX IF NOT EXISTS idx_oms_outage_events_active
    ON public.oms_outage_events (first_detected_at DESC) WHERE status IN ('detected', 'confirmed', 'in_progress');

-- Meters
CREATE INDEX IF NOT EXISTS idx_substation_meters_feeder ON public.network_substation_meters (feeder_id);
CREATE INDEX IF NOT EXISTS idx_substation_meters_meter ON public.network_substation_meters (meter_id);
CREATE INDEX IF NOT EXISTS idx_feeder_meters_meter ON public.network_feeder_meters (meter_id);
CREATE INDEX IF NOT EXISTS idx_scada_affected_meters_meter ON public.scada_event_affected_meters (meter_id);
CREATE INDEX IF NOT EXISTS idx_meter_status_events_meter_time
    ON public.oms_meter_status_events (meter_id, event_timestamp DESC);

-- SCADA
CREATE INDEX IF NOT EXISTS idx_scada_events_outage ON public.scada_events (outage_event_id);
CREATE INDEX IF NOT EXISTS idx_scada_events_ts ON public.scada_events (event_timestamp);
CREATE INDEX IF NOT EXISTS idx_scada_events_type ON public.scada_events (event_type);
CREATE INDEX IF NOT EXISTS idx_scada_events_substation ON public.scada_events (substation_id, event_timestamp DESC);

-- ONU
CREATE INDEX IF NOT EXISTS idx_onus_building ON public.onus (building_id);
CREATE INDEX IF NOT EXISTS idx_meters_building ON public.meters (building_id);
CREATE INDEX IF NOT EXISTS idx_meters_oms_meter ON public.meters (oms_meter_id);
CREATE INDEX IF NOT EXISTS idx_meters_onu_id ON public.meters (onu_id);
CREATE INDEX IF NOT EXISTS idx_onu_events_meter ON public.onu_events (meter_id);
CREATE INDEX IF NOT EXISTS idx_onu_events_onu_id ON public.onu_events (onu_id);
CREATE INDEX IF NOT EXISTS idx_onu_events_timestamp ON public.onu_events ("timestamp" DESC);

-- Call center
CREATE INDEX IF NOT EXISTS idx_cc_tickets_external ON public.callcenter_tickets (external_ticket_id);
CREATE INDEX IF NOT EXISTS idx_cc_tickets_intake_ts ON public.callcenter_tickets (intake_timestamp DESC);
CREATE INDEX IF NOT EXISTS idx_cc_tickets_status ON public.callcenter_tickets (status);
CREATE INDEX IF NOT EXISTS idx_callcenter_customers_meter ON public.callcenter_customers (meter_id);
CREATE INDEX IF NOT EXISTS idx_cc_customers_phone ON public.callcenter_customers (phone);
CREATE INDEX IF NOT EXISTS idx_cc_customers_ticket ON public.callcenter_customers (ticket_id);
CREATE INDEX IF NOT EXISTS idx_cc_status_changed ON public.callcenter_ticket_status_history (changed_at DESC);
CREATE INDEX IF NOT EXISTS idx_cc_status_ticket ON public.callcenter_ticket_status_history (ticket_id);
CREATE INDEX IF NOT EXISTS idx_callcenter_customers_meter_number ON public.callcenter_customers (meter_number);
CREATE INDEX IF NOT EXISTS idx_callcenter_raw_messages_ticket ON public.callcenter_raw_messages (ticket_id);

-- KAIFA
CREATE INDEX IF NOT EXISTS idx_kaifa_events_ts ON public.kaifa_events (event_timestamp DESC);
CREATE INDEX IF NOT EXISTS idx_kaifa_event_headers_event_id ON public.kaifa_event_headers (event_id);
CREATE INDEX IF NOT EXISTS idx_kaifa_event_users_header_id ON public.kaifa_event_users (header_id);
CREATE INDEX IF NOT EXISTS idx_kaifa_event_payloads_event_id ON public.kaifa_event_payloads (event_id);
CREATE INDEX IF NOT EXISTS idx_kaifa_assets_meter ON public.kaifa_event_assets (meter_id);
CREATE INDEX IF NOT EXISTS idx_kaifa_event_assets_payload_id ON public.kaifa_event_assets (payload_id);
CREATE INDEX IF NOT EXISTS idx_kaifa_event_details_payload_id ON public.kaifa_event_details (payload_id);
CREATE INDEX IF NOT EXISTS idx_kaifa_event_names_payload_id ON public.kaifa_event_names (payload_id);
CREATE INDEX IF NOT EXISTS idx_kaifa_event_status_payload_id ON public.kaifa_event_status (payload_id);
CREATE INDEX IF NOT EXISTS idx_kaifa_event_usage_points_payload_id ON public.kaifa_event_usage_points (payload_id);
CREATE INDEX IF NOT EXISTS idx_kaifa_usage_points_meter ON public.kaifa_event_usage_points (meter_id);
CREATE INDEX IF NOT EXISTS idx_kaifa_event_metadata_event_id ON public.kaifa_event_metadata (event_id);
CREATE INDEX IF NOT EXISTS idx_kaifa_event_original_messages_event_id
    ON public.kaifa_event_original_messages (event_id);

-- What an operator configures exists once.
CREATE UNIQUE INDEX IF NOT EXISTS oms_correlation_rules_rule_name_key ON public.oms_correlation_rules (rule_name);
CREATE UNIQUE INDEX IF NOT EXISTS oms_storm_mode_config_one_row ON public.oms_storm_mode_config ((true));
