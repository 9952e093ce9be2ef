/** Messages of the format as bytes, by its table. The library's own reflection would take 90 ms to load. */

import { BinaryReader, BinaryWriter, WireType } from "npm:@bufbuild/protobuf@2.17.0/wire";
import { MESSAGES, PACKED, type Proto, type ProtoInit, type Scalars } from "./schema.ts";

type Name = keyof typeof MESSAGES;
type Content = Record<string, unknown>;

interface Field {
  readonly name: string;
  readonly number: number;
  readonly type: keyof Scalars | Name;
  readonly isRepeated: boolean;
}

/** How bytes hold each scalar; unset ones are read as their default. */
const SCALARS: { readonly [Type in keyof Scalars]: readonly [WireType, unknown] } = {
  int32: [WireType.Varint, 0],
  int64: [WireType.Varint, 0n],
  float: [WireType.Bit32, 0],
  double: [WireType.Bit64, 0],
  string: [WireType.LengthDelimited, ""],
  bytes: [WireType.LengthDelimited, new Uint8Array()],
};

function isScalar(type: string): type is keyof Scalars {
  return type in SCALARS;
}

function wireTypeOf(type: Field["type"]): WireType {
  return isScalar(type) ? SCALARS[type][0] : WireType.LengthDelimited;
}

const FIELDS = Object.fromEntries(
  Object.entries<Readonly<Record<string, readonly [number, string]>>>(MESSAGES).map(
    ([message, fields]) => [
      message,
      Object.entries(fields).map(([name, [number, declared]]): Field => ({
        ...{ name, number, isRepeated: declared.endsWith("[]") },
        type: declared.replace("[]", "") as Field["type"],
      })),
    ],
  ),
) as unknown as Readonly<Record<Name, readonly Field[]>>;

/** Reads a message; fields of none of the table's numbers are skipped.
 *
 * @param maxDepth Messages within each other, at most.
 * @throws {Error} If the bytes are none.
 */
export function decodeMessage<Type extends Name>(
  message: Type,
  bytes: Uint8Array,
  maxDepth: number,
): Proto<Type> {
  return readMessage(message, new BinaryReader(bytes), { depth: maxDepth }) as Proto<Type>;
}

/** Writes a message. */
export function encodeMessage<Type extends Name>(
  message: Type,
  content: ProtoInit<Type>,
): Uint8Array<ArrayBuffer> {
  const writer = new BinaryWriter();
  writeMessage(message, writer, content as Content);
  return writer.finish();
}

function emptyMessage(message: Name): Content {
  return Object.fromEntries(
    FIELDS[message].map(({ name, type, isRepeated }) => [
      name,
      isRepeated ? [] : isScalar(type) ? SCALARS[type][1] : undefined,
    ]),
  );
}

/** @param into What came of the message before: later parts of one add to it. */
function readMessage(
  message: Name,
  reader: BinaryReader,
  { depth, into = emptyMessage(message) }: { readonly depth: number; readonly into?: Content },
): Content {
  if (depth < 0) throw new Error("its messages are nested too deeply");
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    const field = FIELDS[message].find((field) => field.number === number);
    if (field === undefined) {
      reader.skip(wireType, number, depth);
      continue;
    }
    const { name, type, isRepeated } = field;
    const before = into[name];
    const read = (from: BinaryReader) => {
      if (isScalar(type)) return from[type]();
      const one = isRepeated ? undefined : before as Content | undefined;
      return readMessage(type, new BinaryReader(from.bytes()), { depth: depth - 1, into: one });
    };
    const expected = wireTypeOf(type);
    const isPacked = isRepeated && wireType === WireType.LengthDelimited && wireType !== expected;
    if (wireType !== expected && !isPacked) throw new Error(`its ${name} is of another type`);
    const source = isPacked ? new BinaryReader(reader.bytes()) : reader;
    if (!isRepeated) into[name] = read(source);
    else if (!isPacked) (before as unknown[]).push(read(source));
    else while (source.pos < source.len) (before as unknown[]).push(read(source));
  }
  return into;
}

function writeMessage(message: Name, writer: BinaryWriter, content: Content): void {
  for (const { name, number, type, isRepeated } of FIELDS[message]) {
    const value = content[name];
    if (value === undefined) continue;
    const values = isRepeated ? value as readonly unknown[] : [value];
    const isPacked = PACKED.includes(name);
    const write = (each: unknown) => {
      if (isScalar(type)) return void writer[type](each as never);
      writer.fork();
      writeMessage(type, writer, each as Content);
      writer.join();
    };
    if (isPacked && values.length > 0) writer.tag(number, WireType.LengthDelimited).fork();
    for (const each of values) {
      if (!isPacked) writer.tag(number, wireTypeOf(type));
      write(each);
    }
    if (isPacked && values.length > 0) writer.join();
  }
}
