-- Which group of its step a sample belongs to, from 0: two groups may have one prompt, and stand side by side.
alter table samples add column group_index integer not null default 0;

-- What was sampled before: a group began where the prompt changed, as far as is known.
update samples s set group_index = g.group_index
from (select job_id, step, index, count(*) filter (where first) over (partition by job_id, step order by index) - 1 as group_index
    from (select job_id, step, index, prompt is distinct from lag(prompt) over (partition by job_id, step order by index) as first from samples) as marked) as g
where s.job_id = g.job_id and s.step = g.step and s.index = g.index;
