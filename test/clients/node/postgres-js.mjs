import postgres from 'postgres'
import { rounds } from './rounds.mjs'

const sql = postgres(process.env.DATABASE_URL)
await rounds(() => sql`select 1`)
