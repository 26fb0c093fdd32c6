import { DataSource } from 'typeorm'
import { rounds } from './rounds.mjs'

const db = new DataSource({ type: 'postgres', url: process.env.DATABASE_URL })
await db.initialize()
await rounds(() => db.query('select 1'))
