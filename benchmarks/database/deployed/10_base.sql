-- The deployed database, written from its description: base script.
-- Kept as it is in the field, faults included; the side that figures are compared with.

CREATE TABLE IF NOT EXISTS network_substations (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    substation_id VARCHAR(64) NOT NULL UNIQUE,
    name VARCHAR(200) NOT NULL,
    location_lat NUMERIC(10,8),
    location_lng NUMERIC(11,8),
    region_code VARCHAR(10),
    voltage_level VARCHAR(20),
    status VARCHAR(20) DEFAULT 'active',
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX IF NOT EXISTS idx_network_substations_lat ON network_substations (location_lat);
CREATE INDEX IF NOT EXISTS idx_network_substations_lng ON network_substations (location_lng);

CREATE TABLE IF NOT EXISTS network_feeders (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    feeder_id VARCHAR(64) NOT NULL UNIQUE,
    substation_id UUID NOT NULL REFERENCES network_substations(id) ON DELETE CASCADE,
    name VARCHAR(200) NOT NULL,
    location_lat NUMERIC(10,8),
    location_lng NUMERIC(11,8),
    capacity_kva NUMERIC(12,2),
    status VARCHAR(20) DEFAULT 'active',
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX IF NOT EXISTS idx_network_feeders_lat ON network_feeders (location_lat);
CREATE INDEX IF NOT EXISTS idx_network_feeders_lng ON network_feeders (location_lng);
CREATE INDEX IF NOT EXISTS idx_network_feeders_substation ON network_feeders (substation_id);

CREATE TABLE IF NOT EXISTS network_distribution_points (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    dp_id VARCHAR(64) NOT NULL UNIQUE,
    feeder_id UUID NOT NULL REFERENCES network_feeders(id) ON DELETE CASCADE,
    name VARCHAR(200) NOT NULL,
    location_lat NUMERIC(10,8),
    location_lng NUMERIC(11,8),
    building_id VARCHAR(50),
    status VARCHAR(20) DEFAULT 'active',
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX IF NOT EXISTS idx_network_dp_feeder ON network_distribution_points (feeder_id);
CREATE INDEX IF NOT EXISTS idx_network_dp_lat ON network_distribution_points (location_lat);
CREATE INDEX IF NOT EXISTS idx_network_dp_lng ON network_distribution_points (location_lng);

CREATE TABLE IF NOT EXISTS oms_customers (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    customer_id VARCHAR(64) NOT NULL UNIQUE,
    phone VARCHAR(32),
    address TEXT,
    building_id VARCHAR(50),
    dp_id UUID REFERENCES network_distribution_points(id),
    location_lat NUMERIC(10,8),
    location_lng NUMERIC(11,8),
    status VARCHAR(20) DEFAULT 'active',
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX IF NOT EXISTS idx_oms_customers_building ON oms_customers (building_id);
CREATE INDEX IF NOT EXISTS idx_oms_customers_lat ON oms_customers (location_lat);
CREATE INDEX IF NOT EXISTS idx_oms_customers_lng ON oms_customers (location_lng);
CREATE INDEX IF NOT EXISTS idx_oms_customers_phone ON oms_customers (phone);

CREATE TABLE IF NOT EXISTS oms_smart_meters (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    meter_number VARCHAR(64) NOT NULL UNIQUE,
    customer_id UUID REFERENCES oms_customers(id),
    asset_mrid VARCHAR(100),
    usage_point_mrid VARCHAR(100),
    dp_id UUID REFERENCES network_distribution_points(id),
    location_lat NUMERIC(10,8),
    location_lng NUMERIC(11,8),
    meter_type VARCHAR(50) DEFAULT 'kaifa',
    status VARCHAR(20) DEFAULT 'active',
    last_communication TIMESTAMPTZ,
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX IF NOT EXISTS idx_oms_smart_meters_customer ON oms_smart_meters (customer_id);
CREATE INDEX IF NOT EXISTS idx_oms_smart_meters_dp ON oms_smart_meters (dp_id);
CREATE INDEX IF NOT EXISTS idx_oms_smart_meters_lat ON oms_smart_meters (location_lat);
CREATE INDEX IF NOT EXISTS idx_oms_smart_meters_lng ON oms_smart_meters (location_lng);

CREATE TABLE IF NOT EXISTS oms_onu_devices (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    onu_id INTEGER NOT NULL UNIQUE,
    onu_serial_no VARCHAR(100) UNIQUE,
    customer_id UUID REFERENCES oms_customers(id),
    dp_id UUID REFERENCES network_distribution_points(id),
    fibertech_id VARCHAR(50),
    olt_name VARCHAR(200),
    location_lat NUMERIC(10,8),
    location_lng NUMERIC(11,8),
    power_status BOOLEAN DEFAULT true,
    last_power_change TIMESTAMPTZ,
    status VARCHAR(20) DEFAULT 'active',
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX IF NOT EXISTS idx_oms_onu_devices_customer ON oms_onu_devices (customer_id);
CREATE INDEX IF NOT EXISTS idx_oms_onu_devices_dp ON oms_onu_devices (dp_id);
CREATE INDEX IF NOT EXISTS idx_oms_onu_devices_lat ON oms_onu_devices (location_lat);
CREATE INDEX IF NOT EXISTS idx_oms_onu_devices_lng ON oms_onu_devices (location_lng);

CREATE TABLE IF NOT EXISTS oms_outage_events (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    event_id VARCHAR(64) NOT NULL UNIQUE,
    event_type VARCHAR(50) NOT NULL,
    status VARCHAR(32) NOT NULL DEFAULT 'detected',
    severity VARCHAR(16) NOT NULL DEFAULT 'medium',
    confidence_score NUMERIC(5,2) DEFAULT 0.0,
    affected_customers_count INTEGER DEFAULT 0,
    estimated_restoration_time TIMESTAMPTZ,
    actual_restoration_time TIMESTAMPTZ,
    root_cause VARCHAR(200),
    description TEXT,
    affected_area_geojson JSONB,
    event_latitude NUMERIC(10,8),
    event_longitude NUMERIC(11,8),
    substation_id UUID REFERENCES network_substations(id),
    feeder_id UUID REFERENCES network_feeders(id),
    dp_id UUID REFERENCES network_distribution_points(id),
    first_detected_at TIMESTAMPTZ NOT NULL,
    last_updated_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX IF NOT EXISTS idx_oms_outage_events_confidence ON oms_outage_events (confidence_score);
CREATE INDEX IF NOT EXISTS idx_oms_outage_events_detected ON oms_outage_events (first_detected_at DESC);
CREATE INDEX IF NOT EXISTS idx_oms_outage_events_dp ON oms_outage_events (dp_id);
CREATE INDEX IF NOT EXISTS idx_oms_outage_events_feeder ON oms_outage_events (feeder_id);
CREATE INDEX IF NOT EXISTS idx_oms_outage_events_lat ON oms_outage_events (event_latitude);
CREATE INDEX IF NOT EXISTS idx_oms_outage_events_lng ON oms_outage_events (event_longitude);
CREATE INDEX IF NOT EXISTS idx_oms_outage_events_severity ON oms_outage_events (severity);
CREATE INDEX IF NOT EXISTS idx_oms_outage_events_status ON oms_outage_events (status);
CREATE INDEX IF NOT EXISTS idx_oms_outage_events_substation ON oms_outage_events (substation_id);

CREATE TABLE IF NOT EXISTS oms_event_sources (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    outage_event_id UUID NOT NULL REFERENCES oms_outage_events(id) ON DELETE CASCADE,
    source_type VARCHAR(32) NOT NULL,
    source_event_id VARCHAR(100) NOT NULL,
    source_table VARCHAR(100) NOT NULL,
    correlation_weight NUMERIC(5,2) DEFAULT 1.0,
    detected_at TIMESTAMPTZ NOT NULL,
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
    UNIQUE (outage_event_id, source_type, source_event_id)
);

CREATE INDEX IF NOT EXISTS idx_oms_event_sources_detected ON oms_event_sources (detected_at DESC);
CREATE INDEX IF NOT EXISTS idx_oms_event_sources_outage ON oms_event_sources (outage_event_id);
CREATE INDEX IF NOT EXISTS idx_oms_event_sources_type ON oms_event_sources (source_type);

CREATE TABLE IF NOT EXISTS oms_event_timeline (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    outage_event_id UUID NOT NULL REFERENCES oms_outage_events(id) ON DELETE CASCADE,
    event_type VARCHAR(50) NOT NULL,
    status VARCHAR(32) NOT NULL,
    description TEXT,
    source VARCHAR(64),
    timestamp TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    metadata JSONB
);

CREATE INDEX IF NOT EXISTS idx_oms_event_timeline_outage ON oms_event_timeline (outage_event_id);
CREATE INDEX IF NOT EXISTS idx_oms_event_timeline_timestamp ON oms_event_timeline ("timestamp" DESC);
CREATE INDEX IF NOT EXISTS idx_oms_event_timeline_type ON oms_event_timeline (event_type);

CREATE TABLE IF NOT EXISTS oms_correlation_rules (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    rule_name VARCHAR(100) NOT NULL,
    source_types VARCHAR(100)[] NOT NULL,
    correlation_window_minutes INTEGER DEFAULT 30,
    spatial_radius_meters INTEGER DEFAULT 1000,
    confidence_threshold NUMERIC(5,2) DEFAULT 0.7,
    weight_scada NUMERIC(5,2) DEFAULT 1.0,
    weight_kaifa NUMERIC(5,2) DEFAULT 0.8,
    weight_onu NUMERIC(5,2) DEFAULT 0.6,
    weight_call_center NUMERIC(5,2) DEFAULT 0.4,
    is_active BOOLEAN DEFAULT true,
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE IF NOT EXISTS oms_storm_mode_config (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    is_active BOOLEAN DEFAULT false,
    correlation_window_minutes INTEGER DEFAULT 60,
    spatial_radius_meters INTEGER DEFAULT 2000,
    confidence_threshold NUMERIC(5,2) DEFAULT 0.5,
    auto_activation_threshold INTEGER DEFAULT 100,
    activated_at TIMESTAMPTZ,
    deactivated_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE IF NOT EXISTS oms_crew_assignments (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    outage_event_id UUID NOT NULL REFERENCES oms_outage_events(id) ON DELETE CASCADE,
    crew_id VARCHAR(64) NOT NULL,
    crew_name VARCHAR(200),
    assignment_type VARCHAR(32) NOT NULL,
    status VARCHAR(32) NOT NULL DEFAULT 'assigned',
    assigned_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
    estimated_arrival TIMESTAMPTZ,
    actual_arrival TIMESTAMPTZ,
    completed_at TIMESTAMPTZ,
    notes TEXT,
    location_lat NUMERIC(10,8),
    location_lng NUMERIC(11,8)
);

CREATE INDEX IF NOT EXISTS idx_oms_crew_assignments_crew ON oms_crew_assignments (crew_id);
CREATE INDEX IF NOT EXISTS idx_oms_crew_assignments_outage ON oms_crew_assignments (outage_event_id);
CREATE INDEX IF NOT EXISTS idx_oms_crew_assignments_status ON oms_crew_assignments (status);

CREATE TABLE IF NOT EXISTS oms_customer_notifications (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    outage_event_id UUID NOT NULL REFERENCES oms_outage_events(id) ON DELETE CASCADE,
    customer_id UUID NOT NULL REFERENCES oms_customers(id),
    notification_type VARCHAR(32) NOT NULL,
    channel VARCHAR(32) NOT NULL,
    status VARCHAR(32) NOT NULL DEFAULT 'pending',
    sent_at TIMESTAMPTZ,
    delivered_at TIMESTAMPTZ,
    message_content TEXT,
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX IF NOT EXISTS idx_oms_customer_notifications_customer ON oms_customer_notifications (customer_id);
CREATE INDEX IF NOT EXISTS idx_oms_customer_notifications_outage ON oms_customer_notifications (outage_event_id);
CREATE INDEX IF NOT EXISTS idx_oms_customer_notifications_status ON oms_customer_notifications (status);

CREATE OR REPLACE FUNCTION oms_update_updated_at() RETURNS TRIGGER AS $$
BEGIN
    NEW.updated_at = CURRENT_TIMESTAMP;
    RETURN NEW;
END;
$$ LANGUAGE plpgsql;

DROP TRIGGER IF EXISTS oms_network_substations_updated_at ON network_substations;
CREATE TRIGGER oms_network_substations_updated_at BEFORE UPDATE ON network_substations FOR EACH ROW EXECUTE FUNCTION oms_update_updated_at();
DROP TRIGGER IF EXISTS oms_network_feeders_updated_at ON network_feeders;
CREATE TRIGGER oms_network_feeders_updated_at BEFORE UPDATE ON network_feeders FOR EACH ROW EXECUTE FUNCTION oms_update_updated_at();
DROP TRIGGER IF EXISTS oms_network_dp_updated_at ON network_distribution_points;
CREATE TRIGGER oms_network_dp_updated_at BEFORE UPDATE ON network_distribution_points FOR EACH ROW EXECUTE FUNCTION oms_update_updated_at();
DROP TRIGGER IF EXISTS oms_customers_updated_at ON oms_customers;
CREATE TRIGGER oms_customers_updated_at BEFORE UPDATE ON oms_customers FOR EACH ROW EXECUTE FUNCTION oms_update_updated_at();
DROP TRIGGER IF EXISTS oms_smart_meters_updated_at ON oms_smart_meters;
CREATE TRIGGER oms_smart_meters_updated_at BEFORE UPDATE ON oms_smart_meters FOR EACH ROW EXECUTE FUNCTION oms_update_updated_at();
DROP TRIGGER IF EXISTS oms_onu_devices_updated_at ON oms_onu_devices;
CREATE TRIGGER oms_onu_devices_updated_at BEFORE UPDATE ON oms_onu_devices FOR EACH ROW EXECUTE FUNCTION oms_update_updated_at();

CREATE OR REPLACE FUNCTION haversine_distance_meters(lat1 NUMERIC, lon1 NUMERIC, lat2 NUMERIC, lon2 NUMERIC)
RETURNS DOUBLE PRECISION AS $$
DECLARE
    v_dlat DOUBLE PRECISION;
    v_dlon DOUBLE PRECISION;
    v_a DOUBLE PRECISION;
BEGIN
    IF lat1 IS NULL OR lon1 IS NULL OR lat2 IS NULL OR lon2 IS NULL THEN
        RETURN NULL;
    END IF;
    v_dlat := radians((lat2 - lat1)::double precision);
    v_dlon := radians((lon2 - lon1)::double precision);
    v_a := sin(v_dlat / 2) ^ 2
        + cos(radians(lat1::double precision)) * cos(radians(lat2::double precision)) * sin(v_dlon / 2) ^ 2;
    RETURN 2 * 6371000 * atan2(sqrt(v_a), sqrt(1 - v_a));
END;
$$ LANGUAGE plpgsql IMMUTABLE;

CREATE OR REPLACE FUNCTION oms_correlate_events(
    p_event_type VARCHAR, p_source_type VARCHAR, p_source_event_id VARCHAR, p_timestamp TIMESTAMPTZ,
    p_latitude NUMERIC, p_longitude NUMERIC, p_correlation_window_minutes INTEGER DEFAULT 30,
    p_spatial_radius_meters INTEGER DEFAULT 1000)
RETURNS UUID AS $$
DECLARE
    v_outage_id UUID;
    v_window INTERVAL := (p_correlation_window_minutes || ' minutes')::interval;
BEGIN
    SELECT o.id INTO v_outage_id
    FROM oms_outage_events o
    WHERE o.event_type = p_event_type
      AND o.status IN ('detected', 'confirmed', 'in_progress')
      AND o.first_detected_at BETWEEN p_timestamp - v_window AND p_timestamp + v_window
      AND haversine_distance_meters(o.event_latitude, o.event_longitude, p_latitude, p_longitude)
          <= p_spatial_radius_meters
    ORDER BY o.first_detected_at DESC
    LIMIT 1;

    IF v_outage_id IS NOT NULL THEN
        INSERT INTO oms_event_sources (outage_event_id, source_type, source_event_id, source_table, detected_at)
        VALUES (v_outage_id, p_source_type, p_source_event_id, 'source_events', p_timestamp)
        ON CONFLICT DO NOTHING;
        UPDATE oms_outage_events
        SET confidence_score = LEAST(1.0, confidence_score + 0.1), last_updated_at = CURRENT_TIMESTAMP
        WHERE id = v_outage_id;
        RETURN v_outage_id;
    END IF;

    INSERT INTO oms_outage_events (
        event_id, event_type, status, severity, confidence_score, event_latitude, event_longitude,
        first_detected_at)
    VALUES (
        'OMS_' || EXTRACT(EPOCH FROM CURRENT_TIMESTAMP)::bigint || '_' || substr(md5(random()::text), 1, 8),
        p_event_type, 'detected', 'medium', 0.5, p_latitude, p_longitude, p_timestamp)
    RETURNING id INTO v_outage_id;
    INSERT INTO oms_event_sources (outage_event_id, source_type, source_event_id, source_table, detected_at)
    VALUES (v_outage_id, p_source_type, p_source_event_id, 'source_events', p_timestamp);
    INSERT INTO oms_event_timeline (outage_event_id, event_type, status, description, source, timestamp)
    VALUES (v_outage_id, 'detected', 'detected', 'Outage detected', p_source_type, p_timestamp);
    RETURN v_outage_id;
END;
$$ LANGUAGE plpgsql;

CREATE OR REPLACE VIEW oms_active_outages AS
SELECT o.id, o.event_id, o.event_type, o.status, o.severity, o.confidence_score, o.affected_customers_count,
       o.first_detected_at, o.estimated_restoration_time, s.name AS substation_name, f.name AS feeder_name,
       d.name AS dp_name, COUNT(es.id) AS source_count,
       STRING_AGG(DISTINCT es.source_type, ', ') AS source_types
FROM oms_outage_events o
LEFT JOIN network_substations s ON o.substation_id = s.id
LEFT JOIN network_feeders f ON o.feeder_id = f.id
LEFT JOIN network_distribution_points d ON o.dp_id = d.id
LEFT JOIN oms_event_sources es ON o.id = es.outage_event_id
WHERE o.status IN ('detected', 'confirmed', 'in_progress')
GROUP BY o.id, s.name, f.name, d.name;

CREATE OR REPLACE VIEW oms_correlation_summary AS
SELECT o.id AS outage_event_id, o.event_id, o.status, o.confidence_score, COUNT(es.id) AS total_sources,
       COUNT(CASE WHEN es.source_type = 'scada' THEN 1 END) AS scada_sources,
       COUNT(CASE WHEN es.source_type = 'kaifa' THEN 1 END) AS kaifa_sources,
       COUNT(CASE WHEN es.source_type = 'onu' THEN 1 END) AS onu_sources,
       COUNT(CASE WHEN es.source_type = 'call_center' THEN 1 END) AS call_center_sources,
       MIN(es.detected_at) AS first_source_detected, MAX(es.detected_at) AS last_source_detected
FROM oms_outage_events o
LEFT JOIN oms_event_sources es ON o.id = es.outage_event_id
GROUP BY o.id;

-- Without a unique key there is nothing to conflict with: every run adds the rows again.
INSERT INTO oms_correlation_rules (
    rule_name, source_types, correlation_window_minutes, spatial_radius_meters, confidence_threshold,
    weight_scada, weight_kaifa, weight_onu, weight_call_center)
VALUES
    ('Standard Outage Detection', ARRAY['scada', 'kaifa', 'onu', 'call_center'], 30, 1000, 0.7, 1.0, 0.8, 0.6, 0.4),
    ('Storm Mode Detection', ARRAY['scada', 'kaifa', 'onu', 'call_center'], 60, 2000, 0.5, 1.0, 0.8, 0.6, 0.4),
    ('SCADA Priority', ARRAY['scada'], 15, 500, 0.9, 1.0, 0.0, 0.0, 0.0)
ON CONFLICT DO NOTHING;

INSERT INTO oms_storm_mode_config (
    is_active, correlation_window_minutes, spatial_radius_meters, confidence_threshold, auto_activation_threshold)
VALUES (false, 60, 2000, 0.5, 100)
ON CONFLICT DO NOTHING;
