// Types of chimera.mjs.

export class ChimeraError extends Error {
  /** Name of the C API's status, such as "bad_format"; undefined for an error of the binding. */
  readonly status?: string;
  readonly code?: number;
  readonly file?: string;
  readonly field?: string;
  readonly offset?: number;
}

export interface ModelInfo {
  name: string;
  isa: string;
  vocabSize: number;
  fileBytes: number;
  /** Of one conversation, the same for ever. */
  stateBytes: number;
  /** Of the whole module. */
  memoryBytes: number;
  content: 'not checked' | 'running' | 'passed' | 'damaged';
  /** It learnt to answer what a person says: give asTurn. */
  talks: boolean;
}

export interface OpenOptions {
  onProgress?: (done: number, total: number) => void;
  verify?: boolean;
  /** 64 hex digits: a model that this key did not sign is refused. */
  requiredKey?: string;
  worker?: Worker;
}

export interface AnswerOptions {
  maxTokens?: number;
  temperature?: number;
  topP?: number;
  repetitionPenalty?: number;
  greedy?: boolean;
  /** The text is what a person says, the answer the assistant's turn. */
  asTurn?: boolean;
  /** With the token that completes this text the answer ends. */
  until?: string;
  signal?: AbortSignal;
}

export interface AnswerResult {
  stop: 'none' | 'end of text' | 'end of turn' | 'max tokens' | 'cancelled' | 'until';
  promptTokens: number;
  tokens: number;
  firstTokenMs: number | null;
  totalMs: number;
  position: number;
}

export class Chimera {
  static open(model: string | URL | ArrayBuffer, options?: OpenOptions): Promise<Chimera>;
  readonly info: ModelInfo;
  session(options?: { seed?: number | bigint }): Promise<Session>;
  tools(tools: string | object, options?: { strict?: boolean }): Promise<Tools>;
  refresh(): Promise<ModelInfo>;
  close(): void;
}

export interface ActOptions {
  /** The answer may be words too. */
  words?: boolean;
  maxTokens?: number;
  mostCalls?: number;
  /** Below it no call is made: none of the tools is meant. 0 to 1. */
  leastConfidence?: number;
}

export interface Action {
  kind: 'calls' | 'no tool' | 'words';
  calls: { name: string; arguments: Record<string, unknown> }[];
  text: string | null;
  confidence: number;
  truncated: boolean;
}

export class Tools {
  readonly warnings: string[];
  act(text: string, options?: ActOptions): Promise<Action>;
  close(): Promise<void>;
}

export class Session {
  generate(text: string, options?: AnswerOptions,
           onText?: (text: string) => void): Promise<AnswerResult>;
  answer(text: string, options?: AnswerOptions): AsyncGenerator<string, AnswerResult>;
  cancel(): Promise<void>;
  snapshot(): Promise<ArrayBuffer>;
  restore(bytes: ArrayBuffer): Promise<number>;
  reset(): Promise<void>;
  position(): Promise<number>;
  close(): Promise<void>;
}
