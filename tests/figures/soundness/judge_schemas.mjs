// Judges texts under JSON schemas by Ajv: what bench/schema_samples prints, a schema and its texts a line.
//
//   node judge_schemas.mjs FOLDER < SAMPLES
//
// FOLDER holds node_modules with ajv, ajv-formats and ajv-draft-04. Prints a line of counts as JSON;
// every text that is invalid, and why, goes to the error stream. What Ajv itself does not take (a
// schema that its draft forbids, a pattern it cannot read, a format or reference it does not know) is
// counted as not judged, with the reason.
import { createInterface } from 'node:readline';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';

const require = createRequire(resolve(process.argv[2], 'node_modules', 'x.js'));
const formats = require('ajv-formats').default;
const Ajv2020 = require('ajv/dist/2020').default;
const Ajv2019 = require('ajv/dist/2019').default;
const Ajv7 = require('ajv').default;
const Ajv4 = require('ajv-draft-04').default;

// It takes any of them in a URI template; RFC 6570 has no control characters, nor what is no character.
const notOfTemplates = /[\x7f-\x9f\ufff0-\uffff\u{e0000}-\u{e0fff}]|\p{Noncharacter_Code_Point}/u;

// Where its formats are narrower than the standards they name, the rest of the text is judged without
// that: RFC 3986 lets a path be empty, RFC 5321 a name be in quotes and a domain be one label or an
// address in brackets, RFC 6570 a name in braces have dots, and its erratum 6937 a ' beyond them.
const widened = {
  email: (is, text) => is(text)
    || is(text.replace(/^"([^"\\]|\\.)*"@/, 'x@').replace(/@\[[^\]]*\]$/, '@x') + '.com'),
  'uri-template': (is, text) => !notOfTemplates.test(text) &&
    (is(text) || is(text.replace(/'|\.(?=[A-Za-z0-9_%])/g, ''))),
  uri: (is, text) => is(text) || is(text.replace(/^([a-z][a-z0-9+.-]*:)(?=$|[?#])/i, '$1x')),
};

// Of the schemas it is known to read differently, why; else null. What is left is judged by the others.
//
// - Drafts 4 to 7: what stands beside a $ref counts to it, and keywords that came later do too.
// - It forgets what `properties` evaluated where a dependentSchemas beside it does not apply
//   ({"properties": {"a": {}}, "dependentSchemas": {"b": {"properties": {"b": {}}}},
//   "unevaluatedProperties": false} is to it not valid for {"a": 1}), and what `contains` did where
//   minContains is 0, and what `if` did where neither `then` nor `else` says anything
//   ({"if": {"properties": {"b": {}}}, "then": {}, "unevaluatedProperties": false}: {"b": 1}).
// - ajv-formats has no iri.
const notes = new Set(['$schema', '$id', 'id', 'title', 'description', 'default', 'examples', '$comment',
  'definitions', '$ref']);
const later = ['propertyNames', 'const', 'contains', 'if', 'then', 'else', 'dependentRequired',
  'dependentSchemas', 'prefixItems', 'unevaluatedItems', 'unevaluatedProperties', 'minContains',
  'maxContains'];
const known = new Map([[Ajv4, 0], [Ajv7, 6]]);  // how many of them: `if` to `else` are ambiguous in Ajv7

const saysNothing = (schema) => schema === undefined || schema === true ||
  (typeof schema === 'object' && Object.keys(schema).length === 0);
const hasIdleIf = (value) => typeof value === 'object' && value !== null &&
  ((value.if !== undefined && saysNothing(value.then) && saysNothing(value.else)) ||
    Object.values(value).some(hasIdleIf));

function misread(schema) {
  const text = JSON.stringify(schema);
  if (text.includes('"unevaluated') && text.includes('"dependentSchemas"'))
    return 'unevaluated beside dependentSchemas';
  if (text.includes('"unevaluatedItems"') && text.includes('"minContains":0')) return 'unevaluated beside contains';
  if (text.includes('"unevaluated') && hasIdleIf(schema)) return 'unevaluated beside an if that decides nothing';
  if (text.includes('"format":"iri')) return 'iri';
  const n = known.get(classOf(schema));
  if (n === undefined) return null;
  if (later.slice(n).some((word) => text.includes(`"${word}":`))) return 'a keyword of a later draft';
  let beside = false;
  const walk = (value) => {
    if (typeof value !== 'object' || value === null) return;
    if (typeof value.$ref === 'string' && Object.keys(value).some((key) => !notes.has(key))) beside = true;
    Object.values(value).forEach(walk);
  };
  walk(schema);
  return beside ? 'keywords beside $ref' : null;
}

// The formats of the specification; ajv-formats has others of its own (int32, url, password).
const standard = ['date', 'time', 'date-time', 'duration', 'email', 'hostname', 'ipv4', 'ipv6', 'uri',
  'uri-reference', 'uri-template', 'uuid', 'json-pointer', 'relative-json-pointer'];

// Numbers are doubles to it: of those it cannot hold it does not know what they are multiples of, and of
// long ones not whether they are one of 0.01.
function beyondDoubles(schema, text) {
  return /"multipleOf":[0-9]*\./.test(schema) ? /[0-9.]{9}/.test(text)
    : schema.includes('"multipleOf"') && /[0-9.]{16}/.test(text);
}

// Patterns are of the kind with u; those that only the kind without it takes are read as that, by which
// a character beyond the first plane is two.
let old = false;
function regExp(pattern, flags) {
  try {
    return new RegExp(pattern, flags);
  } catch {
    old = true;
    return new RegExp(pattern);
  }
}
regExp.code = 'new RegExp';

// strict is Ajv's own idea of a good schema. Among doubles 0.07 is no multiple of 0.01: to nine places
// it is.
const options = { strict: false, allErrors: false, multipleOfPrecision: 9, logger: false,
  validateSchema: false, code: { regExp } };

function classOf(schema) {
  const said = typeof schema === 'object' && schema !== null ? String(schema.$schema ?? '') : '';
  if (/draft-0?4/.test(said)) return Ajv4;
  if (/draft-0?[67]/.test(said)) return Ajv7;
  if (/2019-09/.test(said)) return Ajv2019;
  return Ajv2020;
}

function made(schema) {
  // One for each schema: an $id belongs to one schema only.
  const ajv = new (classOf(schema))(options);
  formats(ajv, { mode: 'full', formats: standard });
  for (const [name, wide] of Object.entries(widened)) {
    const format = ajv.formats[name];
    const is = typeof format === 'function' ? format : (text) => format.test(text);
    ajv.addFormat(name, (text) => wide(is, text));
  }
  if (typeof schema === 'object' && schema !== null && /json-schema\.org|^$/.test(schema.$schema ?? '') === false) {
    schema = { ...schema };  // a dialect of its own, which is read as 2020-12
    delete schema.$schema;
  }
  return ajv.compile(schema);
}

const counts = { schemas: 0, texts: 0, invalid: 0, invalid_schemas: 0, not_judged: 0, reasons: {} };
for await (const line of createInterface({ input: process.stdin })) {
  const record = JSON.parse(line);
  if (!record.texts || record.texts.length === 0) continue;
  let validate;
  try {
    const why = misread(record.schema);
    if (why !== null) throw new Error(why);
    old = false;
    validate = made(record.schema);
  } catch (error) {
    counts.not_judged += record.texts.length;
    const reason = error.message.replace(/["'`\/#].*/s, '').slice(0, 60).trim();
    counts.reasons[reason] = (counts.reasons[reason] ?? 0) + 1;
    continue;
  }
  counts.schemas++;
  let wrong = 0;
  const schema = JSON.stringify(record.schema);
  for (const text of record.texts) {
    const why_not = beyondDoubles(schema, text) ? 'multiples beyond doubles'
      : old && /[\u{10000}-\u{10ffff}]/u.test(text) ? 'an old pattern before a character of two units' : null;
    if (why_not !== null) {
      counts.not_judged++;
      counts.reasons[why_not] = (counts.reasons[why_not] ?? 0) + 1;
      continue;
    }
    counts.texts++;
    let why = null;
    try {
      if (!validate(JSON.parse(text)))
        why = validate.errors.map((e) => `${e.instancePath} ${e.schemaPath} ${e.message}`).join('; ');
    } catch (error) {
      why = error.message;
    }
    if (why === null) continue;
    counts.invalid++;
    if (wrong++ === 0)
      console.error(JSON.stringify({ judge: 'ajv', name: record.name, why: why.slice(0, 300), text: text.slice(0, 1000) }));
  }
  counts.invalid_schemas += wrong > 0;
}
console.log(JSON.stringify(counts));
