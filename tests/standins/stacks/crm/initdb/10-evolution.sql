-- The database of Evolution API lives in the same PostgreSQL, under a role of its own.
CREATE ROLE evolution LOGIN PASSWORD 'not-a-secret-evolution';
CREATE DATABASE evolution OWNER evolution;
