-- The deployed database, written from its description: SCADA service.
-- Kept as it is in the field, faults included; the side that figures are compared with.

CREATE TABLE IF NOT EXISTS scada_events (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    event_type VARCHAR(64) NOT NULL,
    substation_id VARCHAR(64) NOT NULL,
    feeder_id VARCHAR(64) NOT NULL,
    main_station_id VARCHAR(64) NOT NULL,
    alarm_type VARCHAR(32) NOT NULL,
    event_timestamp TIMESTAMPTZ NOT NULL,
    voltage NUMERIC(12,3) NOT NULL,
    severity VARCHAR(16),
    reason TEXT,
    latitude NUMERIC(10,6),
    longitude NUMERIC(10,6),
    source VARCHAR(128),
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX IF NOT EXISTS idx_scada_events_ts ON scada_events (event_timestamp);
CREATE INDEX IF NOT EXISTS idx_scada_events_type ON scada_events (event_type);

CREATE TABLE IF NOT EXISTS scada_raw_messages (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    raw_payload JSONB NOT NULL,
    received_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP
);

CREATE OR REPLACE FUNCTION insert_scada_event_from_json(json_data JSONB) RETURNS UUID AS $$
DECLARE
    v_event_id UUID;
BEGIN
    INSERT INTO scada_events (
        event_type, substation_id, feeder_id, main_station_id, alarm_type, event_timestamp, voltage, severity,
        reason, latitude, longitude, source)
    VALUES (
        json_data->>'eventType', json_data->>'substationId', json_data->>'feederId', json_data->>'mainStationId',
        json_data->>'alarmType', (json_data->>'timestamp')::timestamptz, (json_data->>'voltage')::numeric,
        json_data->>'severity', json_data->>'reason', (json_data->'coordinates'->>'lat')::numeric,
        (json_data->'coordinates'->>'lng')::numeric, json_data->>'source')
    RETURNING id INTO v_event_id;
    RETURN v_event_id;
END;
$$ LANGUAGE plpgsql;
