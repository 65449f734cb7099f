-- From here on nobody else may write: taken at once and in one order, so that two upgrades or an old
-- service in full swing can wait for us but never deadlock with us.
DO $$
DECLARE
    tables text;
BEGIN
    SELECT string_agg(format('public.%I', table_name), ', ' ORDER BY table_name) INTO tables
    FROM pg_temp.contract_table;
    EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', tables);
END
$$;

-- The eight columns by which the provider tables point at the registry and at outages.
ALTER TABLE public.scada_events ADD COLUMN IF NOT EXISTS affected_meter_count integer DEFAULT 0;
ALTER TABLE public.scada_events ADD COLUMN IF NOT EXISTS meters_checked_at timestamptz;
ALTER TABLE public.scada_events ADD COLUMN IF NOT EXISTS outage_event_id uuid;
ALTER TABLE public.onu_events ADD COLUMN IF NOT EXISTS meter_id uuid;
ALTER TABLE public.meters ADD COLUMN IF NOT EXISTS oms_meter_id uuid;
ALTER TABLE public.kaifa_event_assets ADD COLUMN IF NOT EXISTS meter_id uuid;
ALTER TABLE public.kaifa_event_usage_points ADD COLUMN IF NOT EXISTS meter_id uuid;
ALTER TABLE public.callcenter_customers ADD COLUMN IF NOT EXISTS meter_id uuid;

-- A trip without a measured voltage is a trip.
ALTER TABLE public.scada_events ALTER COLUMN voltage DROP NOT NULL;

-- Random ids without an extension. The extension uuid-ossp stays where it is installed: other software
-- may use it.
DO $$
DECLARE
    uuid_table text;
BEGIN
    FOR uuid_table IN SELECT table_name FROM pg_temp.contract_table WHERE id_type = 'uuid' LOOP
        EXECUTE format('ALTER TABLE public.%I ALTER COLUMN id SET DEFAULT gen_random_uuid()', uuid_table);
    END LOOP;
END
$$;
