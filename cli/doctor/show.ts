import type { Diagnosis } from './diagnosis.ts'
export function showDiagnosis(diagnosis: Diagnosis): string {
  return JSON.stringify(diagnosis, null, 1)
}
