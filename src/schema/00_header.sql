\echo Use "CREATE EXTENSION imgexport" to load this file. \quit

-- Image functions are in the schema that CREATE EXTENSION names; tables, the queue's
-- functions and what an operator touches are in this one.
CREATE SCHEMA imgexport;
COMMENT ON SCHEMA imgexport IS 'Jobs, batches, presets and operation of imgexport.';
