import { createPool, sql } from 'slonik'
import { rounds } from './rounds.mjs'

const pool = await createPool(process.env.DATABASE_URL)
await rounds(() => pool.query(sql.unsafe`select 1`))
