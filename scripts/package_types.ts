/** The declarations of a package's entries: of each module one file, with its documentation. */

// Named here, so that only who builds packages gets the compiler; typescript itself is a peer of valibot,
// which would then bring it to everybody.
import { ts } from "npm:@ts-morph/common@0.28.1";
import { dirname, join } from "node:path";

const OPTIONS: ts.CompilerOptions = {
  declaration: true,
  isolatedDeclarations: true,
  target: ts.ScriptTarget.ESNext,
  module: ts.ModuleKind.ESNext,
};

/** The names that a module must declare; all of them for an entry. */
type Wanted = Set<string> | "all";

/** Declares what the entries export and what that mentions, and nothing else.
 *
 * @param root Folder of the sources.
 * @param entries Paths of the entries below it.
 * @returns Text by path below a folder for declarations, `.d.ts`.
 */
export async function declareTypes(
  root: string,
  entries: readonly string[],
): Promise<Map<string, string>> {
  const modules = new Map<string, ts.SourceFile>();
  const wanted = new Map<string, Wanted>();
  const waiting: { readonly path: string; readonly names: readonly string[] | "all" }[] = entries
    .map((path) => ({ path, names: "all" as const }));
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const { path, names } = next;
    const before = wanted.get(path);
    const isNew = names === "all" ? before !== "all" : before !== "all" &&
      names.some((name) => !before?.has(name));
    if (!isNew) continue;
    const all: Wanted = names === "all" ? "all" : new Set([...before ?? [], ...names]);
    wanted.set(path, all);
    const module = modules.get(path) ?? await declare(root, path);
    modules.set(path, module);
    const kept = keptOf(module, all);
    for (const { target, imported } of importsOf(kept, all)) {
      if (target.startsWith(".")) {
        waiting.push({ path: join(dirname(path), target), names: imported });
      }
    }
  }
  return new Map(
    [...modules].map(([path, module]) => [
      path.replace(/\.ts$/, ".d.ts"),
      print(module, wanted.get(path)!),
    ]),
  );
}

async function declare(root: string, path: string): Promise<ts.SourceFile> {
  const text = await Deno.readTextFile(join(root, path));
  const { outputText } = ts.transpileDeclaration(text, {
    fileName: path,
    compilerOptions: OPTIONS,
  });
  return ts.createSourceFile(path, outputText, ts.ScriptTarget.ESNext, true);
}

/** The statements of a module that declare some names, and those that these mention. */
function keptOf(module: ts.SourceFile, wanted: Wanted): ts.Statement[] {
  if (wanted === "all") return [...module.statements];
  const names = new Set(wanted);
  const kept = new Set<ts.Statement>();
  for (let size = -1; size < kept.size;) {
    size = kept.size;
    for (const statement of module.statements) {
      if (kept.has(statement)) continue;
      const isStar = ts.isExportDeclaration(statement) && !statement.exportClause;
      if (!isStar && !declaredNames(statement).some((name) => names.has(name))) continue;
      kept.add(statement);
      const collect = (node: ts.Node): void => {
        if (ts.isIdentifier(node)) names.add(node.text);
        ts.forEachChild(node, collect);
      };
      if (!ts.isImportDeclaration(statement) && !ts.isExportDeclaration(statement)) {
        collect(statement);
      }
    }
  }
  return module.statements.filter((statement) => kept.has(statement));
}

function declaredNames(statement: ts.Statement): string[] {
  if (ts.isImportDeclaration(statement)) return importedNames(statement).map(({ local }) => local);
  if (ts.isExportDeclaration(statement)) return exportedNames(statement).map(({ local }) => local);
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.map(({ name }) => name.getText());
  }
  const { name } = statement as ts.Statement & { readonly name?: ts.Node };
  return name === undefined ? [] : [name.getText()];
}

interface Named {
  /** In the module that it comes from. */
  readonly original: string;
  /** In this one. */
  readonly local: string;
}

function importedNames({ importClause }: ts.ImportDeclaration): Named[] {
  const bindings = importClause?.namedBindings;
  if (bindings === undefined || !ts.isNamedImports(bindings)) return [];
  return bindings.elements.map(({ name, propertyName }) => ({
    original: (propertyName ?? name).text,
    local: name.text,
  }));
}

function exportedNames({ exportClause }: ts.ExportDeclaration): Named[] {
  if (exportClause === undefined || !ts.isNamedExports(exportClause)) return [];
  return exportClause.elements.map(({ name, propertyName }) => ({
    original: (propertyName ?? name).text,
    local: name.text,
  }));
}

/** What statements need of other modules. */
function* importsOf(statements: readonly ts.Statement[], wanted: Wanted) {
  for (const statement of statements) {
    const isImport = ts.isImportDeclaration(statement);
    if (!isImport && !ts.isExportDeclaration(statement)) continue;
    if (!statement.moduleSpecifier) continue;
    const target = (statement.moduleSpecifier as ts.StringLiteral).text;
    const named = isImport ? importedNames(statement) : exportedNames(statement);
    const isStar = !isImport && statement.exportClause === undefined;
    const imported = isStar
      ? wanted === "all" ? wanted : [...wanted]
      : named.map(({ original }) => original);
    yield { target, imported };
  }
}

function print(module: ts.SourceFile, wanted: Wanted): string {
  const statements = keptOf(module, wanted);
  const head = wanted === "all" ? leadingComments(module) : "";
  const texts = statements.map((statement) => statement.getFullText().trim());
  const joined = texts.join("\n");
  return (head && !joined.startsWith(head) ? `${head}\n` : "") + toDeclared(joined) +
    (texts.length === 0 ? "export {};\n" : "\n");
}

function leadingComments(module: ts.SourceFile): string {
  return /^\/\*\*[\s\S]*?\*\//.exec(module.text)?.[0] ?? "";
}

/** Modules by the names that they have in the package. */
function toDeclared(text: string): string {
  return text.replace(/(\bfrom |\bimport\()"(\.[^"]*)\.ts"/g, '$1"$2.js"');
}
