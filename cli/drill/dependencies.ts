import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A file that names the packages of a project, and how to read their names. */
type Manifest = { file: string; programs: RegExp; read(text: string): string[] }

const NODE = /^(node|npm|npx|yarn|pnpm|bun|tsx|deno)$/
const PHP = /^php[\d.]*$/
const PYTHON = /^(python[\d.]*|gunicorn|uvicorn|celery|flask|django-admin|uv|poetry)$/
const RUBY = /^(ruby|bundle|rails|rake|puma|sidekiq)$/
const JAVA = /^(java|mvn|mvnw|gradle|gradlew)$/

const MANIFESTS: Manifest[] = [
  { file: 'package.json', programs: NODE, read: keysOf('dependencies', 'devDependencies') },
  { file: 'composer.json', programs: PHP, read: keysOf('require', 'require-dev') },
  { file: 'requirements.txt', programs: PYTHON, read: namesBy(/^[ \t]*([\w.-]+)/gm) },
  { file: 'pyproject.toml', programs: PYTHON, read: namesBy(/^\s*["']?([\w.-]+)/gm) },
  { file: 'Gemfile', programs: RUBY, read: namesBy(/^\s*gem\s+["']([\w-]+)["']/gm) },
  { file: 'pom.xml', programs: JAVA, read: namesBy(/<artifactId>\s*([\w.-]+)/g) },
  { file: 'build.gradle', programs: JAVA, read: namesBy(/["'][\w.-]+:([\w.-]+)/g) },
  { file: 'build.gradle.kts', programs: JAVA, read: namesBy(/["'][\w.-]+:([\w.-]+)/g) },
  {
    file: 'go.mod',
    programs: /^go$/,
    read: namesBy(/^\s*(?:require\s+)?([\w.-]+(?:\/[\w.-]+)+)\s+v/gm),
  },
]

/**
 * Reads which packages the project in a folder depends on. If the command starts with a language's own program, only
 * manifests of that language count; a shell or a container may start anything.
 */
export function readDependencies([program = '']: string[], folder: string): string[] {
  const name = program.split('/').at(-1) ?? ''
  const fitting = MANIFESTS.filter(({ programs }) => programs.test(name))
  return (fitting.length > 0 ? fitting : MANIFESTS).flatMap(({ file, read }) => {
    const text = readIfThere(join(folder, file))
    return text === undefined ? [] : read(text)
  })
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    // Most projects have one manifest of these, and a drill needs none.
    return undefined
  }
}

function keysOf(...parts: string[]): Manifest['read'] {
  return (text) => {
    try {
      const manifest = JSON.parse(text) as Record<string, object | undefined>
      return parts.flatMap((part) => Object.keys(manifest[part] ?? {}))
    } catch {
      // The project's own tools will complain about it.
      return []
    }
  }
}

function namesBy(pattern: RegExp): Manifest['read'] {
  return (text) => [...text.matchAll(pattern)].map(([, name = '']) => name)
}
