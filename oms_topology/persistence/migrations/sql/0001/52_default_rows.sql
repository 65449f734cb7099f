-- The configuration that every installation starts with. Rows that stand are an operator's and stay.

INSERT INTO public.oms_correlation_rules (
    rule_name, source_types, correlation_window_minutes, spatial_radius_meters, confidence_threshold,
    weight_scada, weight_kaifa, weight_onu, weight_call_center)
SELECT *
FROM (VALUES
    ('Standard Outage Detection', ARRAY['scada', 'kaifa', 'onu', 'call_center'], 30, 1000, 0.7, 1.0, 0.8, 0.6, 0.4),
    ('Storm Mode Detection', ARRAY['scada', 'kaifa', 'onu', 'call_center'], 60, 2000, 0.5, 1.0, 0.8, 0.6, 0.4),
    ('SCADA Priority', ARRAY['scada'], 15, 500, 0.9, 1.0, 0.0, 0.0, 0.0)
) AS standard (rule_name, source_types, window_minutes, radius_meters, threshold, scada, kaifa, onu, call_center)
WHERE NOT EXISTS (
    SELECT FROM public.oms_correlation_rules AS standing WHERE standing.rule_name = standard.rule_name);

INSERT INTO public.oms_storm_mode_config (
    is_active, correlation_window_minutes, spatial_radius_meters, confidence_threshold, auto_activation_threshold)
SELECT false, 60, 2000, 0.5, 100
WHERE NOT EXISTS (SELECT FROM public.oms_storm_mode_config);
