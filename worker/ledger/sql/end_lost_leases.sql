-- Forget lost leases of this machine: its processes of that time have ended.
DELETE FROM pipeline.lost_leases WHERE fence = any(%(fences)s) AND machine = %(machine)s;
