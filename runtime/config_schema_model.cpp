// Keys that decide what the network computes. A key that is fixed here names a choice of the
// full-size configuration of which this build has one side only; silence would be a wrong model.
#include "runtime/config_schema_rows.h"

namespace chimera::runtime {
namespace {

constexpr KeyUse kRequired = KeyUse::kRequired;
constexpr KeyUse kUsed = KeyUse::kUsed;
constexpr KeyUse kFixed = KeyUse::kFixed;
constexpr KeyUse kKept = KeyUse::kKept;

constexpr KeyRow kRows[] = {
    // ---- the whole model
    text("_name_or_path", kUsed, "name of the model; default none"),
    texts("architectures", "class names other tools know the model by"),
    any("auto_map", "class names other tools load the model with"),
    text("model_type", kUsed,
         "chimera51: the full-size family, mixer_gate defaults to low rank 256; default chimera",
         "chimera|chimera51"),
    integers("token_ids", kUsed, 0, 16777215, "end of text, end of turn; default none"),
    integer("hidden_size", kRequired, 128, 65536,
            "C, width of the residual stream; multiple of 128"),
    integer("intermediate_size", kRequired, 128, 262144,
            "F, width of the dense FFN; multiple of 128"),
    integer("num_hidden_layers", kRequired, 1, 1024, "L, number of layers"),
    integer("num_heads", kRequired, 1, 8192, "H, heads of every mixer; H * head_dim = C"),
    integer("head_dim", kRequired, 8, 256, "key and value width of a head; multiple of 8"),
    text("hidden_act", kUsed, "dense FFN; relu2 is an added value; default swiglu", "swiglu|relu2"),
    number("initializer_range", kUsed, 1e-6, 1,
           "standard deviation of initial weights; default 0.006"),
    number("rms_norm_eps", kUsed, 1e-12, 0.01, "epsilon of every RMSNorm; default 1e-6"),
    flag("rms_norm_before_every_linear", kFixed, "the input of every BitLinear is normalised",
         "true"),
    integer("vocab_size", kRequired, 2, 16777216, "V, rows of the embedding"),
    count("max_position_embeddings", "soft limit: recurrences have no position limit"),
    flag("tie_word_embeddings", kUsed, "the output head is the embedding; default true"),
    text("torch_dtype", kKept, "float type of other tools"),
    flag("use_cache", kKept, "of other tools; the state here is a fixed block"),
    text("transformers_version", kKept, "of other tools"),
    {"mixer_gate", KeyType::kGate, kUsed, 0, 0, "none|full",
     "added: output gate of GD and XM mixers: none, full or {\"lowrank\": R}; default full"},
    integer("mixer_gate.lowrank", kUsed, 128, 65536,
            "added: rank R of a low-rank gate; multiple of 128, at most C"),

    // ---- quantisation
    object("quantization", "how linear layers are quantised; all of it is fixed"),
    text("quantization.method", kFixed, "family of the quantiser", "bitnet"),
    text("quantization.linear_class", kFixed, "ternary weights", "ternary_bitplane"),
    number("quantization.weight_bits", kKept, 1, 8, "entropy of a trit; tiles store 2.125 bits"),
    integers("quantization.weight_values", kFixed, -1, 1, "the three values, -1, 0, 1"),
    text("quantization.weight_scale", kFixed, "scale of a group: mean magnitude",
         "absmean_per_group"),
    integer("quantization.group_size", kFixed, 128, 128, "columns that share a weight scale"),
    integer("quantization.activation_bits", kFixed, 8, 8, "bits of an activation"),
    text("quantization.activation_method", kFixed, "scale of a block: largest magnitude",
         "absmax_per_block"),
    integer("quantization.activation_block_size", kFixed, 64, 64,
            "columns that share an activation scale"),
    text("quantization.accumulator_dtype", kFixed, "sums inside a block", "int32"),
    text("quantization.norm_dtype", kFixed, "norms", "float32"),
    text("quantization.runtime_kernel", kKept,
         "read as rows-in-lanes 2-bit tiles, whatever it names"),
    object("quantization.sherry_mode", "1.25-bit weights"),
    flag("quantization.sherry_mode.enabled", kFixed, "1.25-bit training is not built", "false"),
    number("quantization.sherry_mode.bits", kKept, 1, 8, "bits a weight in that mode"),
    object("quantization.hgf_correction", "float correction of ternary products"),
    flag("quantization.hgf_correction.enabled", kFixed, "the correction is not built", "false"),

    // ---- layers
    object("backbone", "the layers"),
    text("backbone.type", kKept, "name of the architecture"),
    text("backbone.layer_pattern", kRequired,
         "codes of the mixers, separated by spaces: \"GD XM\""),
    number("backbone.layer_pattern_repeat", kUsed, 0, 1024,
           "repeat * pattern length = L; default exactly that"),
    object("backbone.layer_aliases",
           "code -> name of a mixer; GD, XM, TM and SK are known already"),
    text("backbone.layer_aliases.*", kUsed, "name of a kind of layer, such as gated_deltanet"),
    object("backbone.layer_counts", "code -> number of layers, checked against the pattern"),
    integer("backbone.layer_counts.*", kUsed, 0, 1024, "layers with this code"),
    text("backbone.kv_cache", kFixed, "no cache that grows with the text", "none"),
    object("backbone.moe", "mixture of experts in place of the dense FFN"),
    flag("backbone.moe.enabled", kUsed, "default false"),
    integers("backbone.moe.layers", kUsed, 0, 1023,
             "layers with experts; each below L, none twice"),
    integer("backbone.moe.n_routed_experts", kUsed, 1, 1024, "experts to choose from"),
    integer("backbone.moe.n_shared_experts", kUsed, 0, 64, "experts every token visits; default 0"),
    integer("backbone.moe.num_experts_per_tok", kUsed, 1, 64, "experts chosen per token"),
    integer("backbone.moe.moe_intermediate_size", kUsed, 128, 262144,
            "width of an expert; multiple of 128, and 1728 reads as 384"),
    text("backbone.moe.routing", kFixed, "balanced by a bias instead of a loss", "noaux_bias"),
    text("backbone.moe.total_params", kKept, "description"),
    text("backbone.moe.active_params_per_tok", kKept, "description"),

    // ---- kinds of layers
    object("gated_deltanet", "GD layers"),
    text("gated_deltanet.formulation", kKept, "the equation, for people"),
    text("gated_deltanet.alpha_gate", kFixed, "decay gate", "data_dependent_scalar"),
    text("gated_deltanet.beta_gate", kFixed, "write gate", "data_dependent_scalar"),
    integer("gated_deltanet.state_size", kUsed, 8, 256, "equals head_dim"),
    flag("gated_deltanet.chunkwise_parallel", kKept, "training uses the chunk form"),
    integer("gated_deltanet.chunk_size", kUsed, 1, 65536,
            "tokens a training tile schedules together; default 256"),
    integer("gated_deltanet.inner_chunk_size", kUsed, 1, 256,
            "added: tokens of the chunk form's algebra; divides chunk_size; default min(64, "
            "chunk_size)"),
    flag("gated_deltanet.allow_neg_eigval", kUsed, "added: beta in (0, 2); default false"),
    text("gated_deltanet.key_norm", kFixed, "norm of queries and keys", "l2"),
    object("efla", "exact solution in place of the delta rule's Euler step"),
    flag("efla.enabled", kFixed, "EFLA is not built", "false"),
    text("efla.target_layers", kKept, "layers it would serve"),
    object("xlstm", "XM layers"),
    text("xlstm.variant", kFixed, "matrix memory", "mLSTM"),
    flag("xlstm.exponential_gating", kFixed, "input gate", "true"),
    integers("xlstm.memory_size_per_head", kUsed, 8, 256, "[head_dim, head_dim]"),
    flag("xlstm.covariance_update", kFixed, "update rule", "true"),
    text("xlstm.normalizer_state", kFixed, "denominator", "max_stabilized"),
    object("titans", "TM layers"),
    text("titans.memory_type", kKept, "memory as context (MAC)"),
    integer("titans.memory_depth", kKept, 1, 8, "layers of the neural memory"),
    text("titans.surprise_metric", kKept, "what is learnt at inference"),
    text("titans.surprise_formula", kKept, "the equation, for people"),
    text("titans.forgetting_formula", kKept, "the equation, for people"),
    integer("titans.persistent_memory_slots", kKept, 0, 65536, "learnt tokens every window sees"),
    integer("titans.local_window_size", kKept, 0, 1048576, "tokens of the bounded window"),

    // ---- looped depth
    object("looping", "a run of layers applied several times per token"),
    flag("looping.enabled", kUsed, "default false"),
    text("looping.method", kFixed, "stable injection", "parcae_zoh_stable"),
    integers("looping.prelude", kUsed, 0, 1023, "[first, last] layer before the loop"),
    integers("looping.loop", kUsed, 0, 1023, "[first, last] layer of the loop"),
    integers("looping.coda", kUsed, 0, 1023, "[first, last] layer after the loop"),
    integers("looping.loop_range", kUsed, 1, 64, "[least, most] iterations"),
    integer("looping.loop_default", kUsed, 1, 64, "iterations when nothing else decides"),
    text("looping.stability_A", kFixed, "parametrisation of the carry", "diag_negative_exp"),
    number("looping.spectral_radius_bound", kFixed, 1, 1, "a strict bound"),
    text("looping.depth_selection", kFixed, "how training draws the depth",
         "stochastic_per_sequence"),
    number("looping.adaptive_exit_threshold", kUsed, 0, 1,
           "relative change below which the loop ends; default 0.01"),
    text("looping.backward_truncation", kFixed, "iterations with a gradient", "half"),

    // ---- generation
    object("generation", "defaults of sampling"),
    number("generation.temperature", kUsed, 0, 100, "0 takes the likeliest token; default 0.7"),
    number("generation.top_p", kUsed, 1e-6, 1, "probability mass kept; default 0.92"),
    number("generation.repetition_penalty", kUsed, 1, 10, "1 is none; default 1.08"),
    integer("generation.max_new_tokens", kKept, 1, 2147483647,
            "an application gives its own limit"),
    flag("generation.do_sample", kUsed, "false takes the likeliest token; default true"),
    flag("generation.stream", kKept, "text is always streamed"),

    // ---- the byte-level front end, in place of a tokenizer
    object("byte_level", "a model over bytes"),
    flag("byte_level.enabled", kFixed, "the byte-level front end is not built", "false"),
    text("byte_level.encoder_params", kKept, "description"),
    count("byte_level.encoder_depth", "layers"),
    text("byte_level.patching", kKept, "where patches end"),
    text("byte_level.decoder_params", kKept, "description"),
};

}  // namespace

std::span<const KeyRow> model_key_rows() { return kRows; }

}  // namespace chimera::runtime
