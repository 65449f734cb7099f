-- The deployed database, written from its description: call center service.
-- Kept as it is in the field, faults included; the side that figures are compared with.

CREATE TABLE IF NOT EXISTS callcenter_tickets (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    external_ticket_id VARCHAR(64) NOT NULL,
    intake_id VARCHAR(64) UNIQUE,
    oms_event_id VARCHAR(64) UNIQUE,
    status VARCHAR(32) NOT NULL DEFAULT 'Registered',
    intake_timestamp TIMESTAMPTZ NOT NULL,
    source VARCHAR(64) DEFAULT 'call-center',
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX IF NOT EXISTS idx_cc_tickets_external ON callcenter_tickets (external_ticket_id);
CREATE INDEX IF NOT EXISTS idx_cc_tickets_intake_ts ON callcenter_tickets (intake_timestamp DESC);
CREATE INDEX IF NOT EXISTS idx_cc_tickets_status ON callcenter_tickets (status);

CREATE TABLE IF NOT EXISTS callcenter_customers (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    ticket_id UUID NOT NULL REFERENCES callcenter_tickets(id) ON DELETE CASCADE,
    phone VARCHAR(32),
    meter_number VARCHAR(64),
    address TEXT,
    notes TEXT
);

CREATE INDEX IF NOT EXISTS idx_cc_customers_phone ON callcenter_customers (phone);
CREATE INDEX IF NOT EXISTS idx_cc_customers_ticket ON callcenter_customers (ticket_id);

CREATE TABLE IF NOT EXISTS callcenter_ticket_status_history (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    ticket_id UUID NOT NULL REFERENCES callcenter_tickets(id) ON DELETE CASCADE,
    status VARCHAR(32) NOT NULL,
    changed_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    note TEXT
);

CREATE INDEX IF NOT EXISTS idx_cc_status_changed ON callcenter_ticket_status_history (changed_at DESC);
CREATE INDEX IF NOT EXISTS idx_cc_status_ticket ON callcenter_ticket_status_history (ticket_id);

CREATE TABLE IF NOT EXISTS callcenter_raw_messages (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    ticket_id UUID REFERENCES callcenter_tickets(id) ON DELETE SET NULL,
    raw_payload JSONB NOT NULL,
    received_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP
);

CREATE OR REPLACE FUNCTION cc_update_updated_at() RETURNS TRIGGER AS $$
BEGIN
    NEW.updated_at = CURRENT_TIMESTAMP;
    RETURN NEW;
END;
$$ LANGUAGE plpgsql;

CREATE TRIGGER cc_tickets_updated_at BEFORE UPDATE ON callcenter_tickets FOR EACH ROW EXECUTE FUNCTION cc_update_updated_at();

CREATE OR REPLACE FUNCTION insert_callcenter_ticket_from_json(json_data JSONB) RETURNS UUID AS $$
DECLARE
    v_ticket_id UUID;
    v_customer JSONB := json_data->'customer';
BEGIN
    IF json_data->>'ticketId' IS NULL OR json_data->>'timestamp' IS NULL OR v_customer IS NULL THEN
        RAISE EXCEPTION 'Missing required fields: ticketId, timestamp, customer';
    END IF;

    INSERT INTO callcenter_tickets (external_ticket_id, intake_id, oms_event_id, status, intake_timestamp, source)
    VALUES (
        json_data->>'ticketId', json_data->'intake'->>'intakeId', json_data->'intake'->>'omsEventId',
        COALESCE(json_data->>'status', 'Registered'), (json_data->>'timestamp')::timestamptz,
        COALESCE(json_data->>'source', 'call-center'))
    RETURNING id INTO v_ticket_id;

    INSERT INTO callcenter_customers (ticket_id, phone, meter_number, address, notes)
    VALUES (v_ticket_id, v_customer->>'phone', v_customer->>'meterNumber', v_customer->>'address',
            v_customer->>'notes');

    INSERT INTO callcenter_ticket_status_history (ticket_id, status, note)
    VALUES (v_ticket_id, COALESCE(json_data->>'status', 'Registered'), 'Intake created');

    INSERT INTO callcenter_raw_messages (ticket_id, raw_payload) VALUES (v_ticket_id, json_data);
    RETURN v_ticket_id;
END;
$$ LANGUAGE plpgsql;
