/**
 * SQL for an instant in seconds since the epoch, as float8. As text, it is the shortest number that stands for the same
 * microsecond, whatever DateStyle and TimeZone are (`extra_float_digits` is pinned). Two texts of one instant are
 * equal only if both come from here.
 */
export const epoch = (instant: string) => `date_part('epoch', ${instant})`
