-- Step 6, second part: a meter that nothing else gave a customer, and about which one phone called that no customer
-- has, gets that caller for its customer. The customer's code is made from the phone and does not show it.

-- do: callers who are nobody's customer yet
ANALYZE link_decision;
CREATE TEMP TABLE new_customer ON COMMIT DROP AS
SELECT c.meter_no, 'CALLER_' || left(encode(sha256(convert_to(c.phone, 'UTF8')), 'hex'), 16) AS customer_code, c.phone
FROM (SELECT meter_no, min(phone) AS phone FROM caller GROUP BY meter_no HAVING count(*) = 1) c
JOIN link_decision d ON d.meter_no = c.meter_no AND d.status <> 'linked' AND d.status <> 'ambiguous'
WHERE NOT EXISTS (SELECT FROM phone_customer p WHERE p.phone = c.phone);

-- count: customers_registered
INSERT INTO public.oms_customers (customer_id, phone)
SELECT DISTINCT n.customer_code, n.phone FROM new_customer n
WHERE NOT EXISTS (SELECT FROM public.oms_customers c WHERE c.customer_id = n.customer_code)
ORDER BY n.customer_code;

-- do: and their meters
UPDATE link_decision d
SET status = 'linked', target_id = c.id, rule = 'phone', distance_m = NULL, second_distance_m = NULL, confidence = NULL
FROM new_customer n JOIN public.oms_customers c ON c.customer_id = n.customer_code
WHERE d.meter_no = n.meter_no;
