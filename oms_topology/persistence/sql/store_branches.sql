-- The drawn branches between the stored devices. Their order decides between ways of equal length, so each is
-- compared with, and written over, the one at its place. What a changed branch joins is marked, so that the
-- version tells of a switch that moved even if nothing is fed differently.
CREATE TEMPORARY TABLE old_branch ON COMMIT DROP AS
SELECT b.branch_no, row_number() OVER (ORDER BY b.branch_no) AS place,
       b.from_no, b.to_no, b.kind, COALESCE(b.code, '') AS code, b.is_switch, b.normally_open, b.is_open
FROM oms_topology.branch b
JOIN new_device f ON f.device_no = b.from_no
JOIN new_device t ON t.device_no = b.to_no;

CREATE TEMPORARY TABLE changed_branch ON COMMIT DROP AS
SELECT o.branch_no, o.from_no AS old_from_no, o.to_no AS old_to_no, n.*
FROM old_branch o
FULL JOIN (
    SELECT row_number() OVER (ORDER BY b.row_no) AS place, f.device_no AS from_no, t.device_no AS to_no,
           b.kind, COALESCE(b.code, '') AS code, b.is_switch, b.normally_open, b.is_open
    FROM new_branch b
    JOIN new_device f ON f.row_no = b.from_row
    JOIN new_device t ON t.row_no = b.to_row
) n ON n.place = o.place
WHERE (o.from_no, o.to_no, o.kind, o.code, o.is_switch, o.normally_open, o.is_open)
      IS DISTINCT FROM (n.from_no, n.to_no, n.kind, n.code, n.is_switch, n.normally_open, n.is_open);

DELETE FROM oms_topology.branch b USING changed_branch c WHERE b.branch_no = c.branch_no AND c.place IS NULL;

UPDATE oms_topology.branch b
SET from_no = c.from_no, to_no = c.to_no, kind = c.kind, code = NULLIF(c.code, ''), is_switch = c.is_switch,
    normally_open = c.normally_open, is_open = c.is_open
FROM changed_branch c WHERE b.branch_no = c.branch_no AND c.place IS NOT NULL;

INSERT INTO oms_topology.branch (from_no, to_no, kind, code, is_switch, normally_open, is_open)
SELECT c.from_no, c.to_no, c.kind, NULLIF(c.code, ''), c.is_switch, c.normally_open, c.is_open
FROM changed_branch c WHERE c.branch_no IS NULL ORDER BY c.place;

UPDATE oms_topology.device d SET is_stale = true
FROM (SELECT from_no AS no FROM changed_branch UNION SELECT to_no FROM changed_branch
      UNION SELECT old_from_no FROM changed_branch UNION SELECT old_to_no FROM changed_branch) c
WHERE d.device_no = c.no AND NOT d.is_stale;

-- Numbers the devices for the meters that come next; the version is made when these are stored, too.
SELECT oms_topology.settle_marks() WHERE EXISTS (SELECT FROM oms_topology.device WHERE is_stale);
