-- What some installations have beside the contract: it is not ours, and stays untouched.

CREATE TABLE oms_outage_customers (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    outage_id uuid NOT NULL REFERENCES oms_outage_events(id) ON DELETE CASCADE,
    customer_id uuid NOT NULL REFERENCES oms_customers(id) ON DELETE CASCADE,
    linked_at timestamptz DEFAULT CURRENT_TIMESTAMP,
    UNIQUE (outage_id, customer_id)
);
CREATE INDEX idx_ooc_outage ON oms_outage_customers (outage_id);
CREATE INDEX idx_ooc_customer ON oms_outage_customers (customer_id);
INSERT INTO oms_outage_customers (outage_id, customer_id) VALUES (md5('O1')::uuid, md5('C1')::uuid);

CREATE VIEW oms_migration_summary AS
SELECT 'Substations' AS component, count(*) AS count, 'from scada_events' AS detail FROM network_substations
UNION ALL
SELECT 'Active outages', count(*), 'from the view' FROM oms_active_outages;

CREATE FUNCTION validate_migrated_data()
RETURNS TABLE (validation_check text, status text, count_value integer, message text) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT 'outages'::text, 'PASS'::text, count(*)::integer, 'counted'::text FROM oms_outage_events;
END;
$$;

CREATE TABLE oms_crew_assignment_status_history (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    assignment_id uuid NOT NULL,
    status varchar(32) NOT NULL,
    changed_by uuid,
    changed_at timestamptz,
    notes text,
    location_lat numeric(10,8),
    location_lng numeric(11,8)
);

CREATE TABLE oms_crew_assignments_enhanced (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    outage_event_id uuid NOT NULL REFERENCES oms_outage_events(id) ON DELETE CASCADE,
    crew_member_id uuid NOT NULL,
    team_id uuid,
    assignment_type varchar(32) NOT NULL,
    priority varchar(16) NOT NULL,
    status varchar(32) NOT NULL,
    assigned_by uuid,
    assigned_at timestamptz,
    accepted_at timestamptz,
    estimated_arrival timestamptz,
    actual_arrival timestamptz,
    work_started_at timestamptz,
    work_completed_at timestamptz,
    estimated_duration_hours numeric(4,2),
    actual_duration_hours numeric(4,2),
    required_skills uuid[],
    required_certifications uuid[],
    work_location_lat numeric(10,8),
    work_location_lng numeric(11,8),
    work_location_address text,
    equipment_required text[],
    safety_requirements text[],
    special_instructions text,
    completion_notes text,
    performance_rating integer CHECK (performance_rating BETWEEN 1 AND 5),
    created_at timestamptz,
    updated_at timestamptz
);

CREATE TABLE oms_crew_availability (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    crew_member_id uuid NOT NULL,
    availability_date date NOT NULL,
    shift_start time without time zone,
    shift_end time without time zone,
    status varchar(32) NOT NULL,
    notes text,
    created_at timestamptz,
    updated_at timestamptz
);

CREATE TABLE oms_crew_certifications (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    cert_code varchar(64) NOT NULL,
    cert_name varchar(200) NOT NULL,
    cert_type varchar(64) NOT NULL,
    issuing_authority varchar(200),
    validity_months integer,
    description text,
    is_active boolean,
    created_at timestamptz,
    updated_at timestamptz
);

CREATE TABLE oms_crew_equipment (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    equipment_id varchar(64) NOT NULL,
    equipment_name varchar(200) NOT NULL,
    equipment_type varchar(64) NOT NULL,
    category varchar(64) NOT NULL,
    status varchar(32),
    location varchar(200),
    assigned_to uuid,
    last_maintenance_date date,
    next_maintenance_date date,
    created_at timestamptz,
    updated_at timestamptz
);

CREATE TABLE oms_crew_equipment_assignments (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    equipment_id uuid NOT NULL,
    crew_member_id uuid,
    assignment_id uuid,
    assigned_date date NOT NULL,
    return_date date,
    status varchar(32),
    notes text,
    created_at timestamptz
);

CREATE TABLE oms_crew_member_certifications (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    crew_member_id uuid NOT NULL,
    certification_id uuid NOT NULL,
    cert_number varchar(100),
    issued_date date NOT NULL,
    expiry_date date,
    status varchar(32) NOT NULL,
    issuing_authority varchar(200),
    verified_by uuid,
    verified_date date,
    notes text,
    created_at timestamptz,
    updated_at timestamptz
);

CREATE TABLE oms_crew_member_skills (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    crew_member_id uuid NOT NULL,
    skill_id uuid NOT NULL,
    skill_level varchar(32) NOT NULL,
    proficiency_score numeric(3,2),
    years_experience integer,
    last_used_date date,
    verified_by uuid,
    verified_date date,
    notes text,
    created_at timestamptz,
    updated_at timestamptz
);

CREATE TABLE oms_crew_members (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    employee_id varchar(64) NOT NULL,
    first_name varchar(100) NOT NULL,
    last_name varchar(100) NOT NULL,
    email varchar(255),
    phone varchar(32),
    emergency_contact_name varchar(200),
    emergency_contact_phone varchar(32),
    hire_date date NOT NULL,
    status varchar(32) NOT NULL,
    crew_type varchar(32) NOT NULL,
    experience_years integer,
    location_lat numeric(10,8),
    location_lng numeric(11,8),
    home_base varchar(200),
    created_at timestamptz,
    updated_at timestamptz
);

CREATE TABLE oms_crew_performance (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    crew_member_id uuid NOT NULL,
    performance_period_start date NOT NULL,
    performance_period_end date NOT NULL,
    total_assignments integer,
    completed_assignments integer,
    on_time_completions integer,
    average_completion_time_hours numeric(4,2),
    safety_incidents integer,
    customer_satisfaction_score numeric(3,2),
    supervisor_rating numeric(3,2),
    training_hours_completed numeric(4,2),
    certifications_earned integer,
    notes text,
    created_at timestamptz,
    updated_at timestamptz
);

CREATE TABLE oms_crew_schedules (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    crew_member_id uuid NOT NULL,
    schedule_date date NOT NULL,
    shift_type varchar(32) NOT NULL,
    start_time time without time zone NOT NULL,
    end_time time without time zone NOT NULL,
    location varchar(200),
    status varchar(32),
    notes text,
    created_at timestamptz,
    updated_at timestamptz
);

CREATE TABLE oms_crew_skills (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    skill_code varchar(64) NOT NULL,
    skill_name varchar(200) NOT NULL,
    skill_category varchar(64) NOT NULL,
    skill_levels varchar(100)[],
    description text,
    is_active boolean,
    created_at timestamptz,
    updated_at timestamptz
);

CREATE TABLE oms_crew_team_members (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    team_id uuid NOT NULL,
    crew_member_id uuid NOT NULL,
    role varchar(32) NOT NULL,
    joined_date date NOT NULL,
    is_primary_team boolean,
    created_at timestamptz
);

CREATE TABLE oms_crew_teams (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    team_id varchar(64) NOT NULL,
    team_name varchar(200) NOT NULL,
    team_leader_id uuid,
    team_type varchar(32) NOT NULL,
    max_members integer,
    status varchar(32),
    location_lat numeric(10,8),
    location_lng numeric(11,8),
    created_at timestamptz,
    updated_at timestamptz
);

CREATE TABLE oms_crew_work_history (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    crew_member_id uuid NOT NULL,
    assignment_id uuid,
    work_date date NOT NULL,
    work_type varchar(64) NOT NULL,
    hours_worked numeric(4,2) NOT NULL,
    location varchar(200),
    description text,
    skills_used uuid[],
    equipment_used text[],
    safety_notes text,
    created_at timestamptz
);

CREATE VIEW oms_available_crew AS SELECT id, employee_id, status FROM oms_crew_members WHERE status = 'active';
INSERT INTO oms_crew_members (employee_id, first_name, last_name, hire_date, status, crew_type)
VALUES ('EMP-1', 'A', 'B', '2020-01-01', 'active', 'line');

CREATE FUNCTION oms_calculate_crew_performance_score(p_crew_member_id uuid) RETURNS numeric LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT count(*) FROM oms_crew_performance WHERE crew_member_id = p_crew_member_id);
END;
$$;
