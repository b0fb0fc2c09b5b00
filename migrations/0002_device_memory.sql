-- What a device has free and can do, and what a job was expected to need when it was sent.
alter table devices
    add column free_bytes bigint not null default 0,        -- at the last heartbeat; 0 where unknown, as memory_bytes
    add column bfloat16 boolean not null default false;     -- whether it multiplies bf16 by instructions of its own

alter table jobs add column estimate jsonb;                 -- bytes by what holds them; null where nothing was known
