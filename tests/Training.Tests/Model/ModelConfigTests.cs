using System.Text.Json;
using System.Text.Json.Nodes;
using Gradus.Training.Model;
using Xunit;

namespace Gradus.Training.Tests.Model;

public sealed class ModelConfigTests
{
    private const string Llama = """
        {"model_type":"llama","vocab_size":320,"hidden_size":64,"intermediate_size":112,"num_hidden_layers":3,"num_attention_heads":4,"hidden_act":"silu"}
        """;

    [Fact]
    public void OldAndNewFormsOfRotaryParametersAreRead()
    {
        Assert.Equal(10_000, Parse("{}").RopeTheta);
        Assert.Equal(500_000, Parse("""{"rope_theta":500000.0,"rope_scaling":null}""").RopeTheta);
        Assert.Equal(500_000, Parse("""{"rope_parameters":{"rope_type":"default","rope_theta":500000.0}}""").RopeTheta);
    }

    [Fact]
    public void AbsentFieldsHaveTheFamilysDefaults()
    {
        var config = Parse("{}");
        Assert.Equal((4, 16, 2_048, false, false), (config.KeyValueHeads, config.HeadDim, config.MaxPositions, config.TieEmbeddings, config.QkvBias));
        Assert.True(Parse("""{"model_type":"qwen2"}""").QkvBias);
        Assert.Equal(24, Parse("""{"head_dim":24}""").HeadDim);
    }

    [Theory]
    [InlineData("""{"rope_theta":500000.0,"rope_scaling":{"factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":8192,"rope_type":"llama3"}}""")]
    [InlineData("""{"rope_parameters":{"factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":8192,"rope_type":"llama3","rope_theta":500000.0}}""")]
    public void Llama31sScalingIsReadInBothForms(string change)
    {
        var config = Parse(change);
        Assert.Equal(500_000, config.RopeTheta);
        Assert.Equal(new RotaryScaling("llama3", 8) { LowFrequencyFactor = 1, HighFrequencyFactor = 4, OriginalPositions = 8_192 }, config.Rope! with { Factors = new RotaryScaling("", 1).Factors });
    }

    [Fact]
    public void YarnsFactorMayFollowFromThePositions()
    {
        var config = Parse("""{"max_position_embeddings":512,"rope_scaling":{"type":"yarn","original_max_position_embeddings":64,"beta_fast":16,"mscale":0.7,"truncate":false}}""");
        Assert.Equal((8, 64, 16, 1, 0.7, 0, false), (config.Rope!.Factor, config.Rope.OriginalPositions, config.Rope.BetaFast, config.Rope.BetaSlow, config.Rope.Mscale, config.Rope.MscaleAllDim, config.Rope.Truncate));
    }

    /// <summary>What published configs say beside the mathematics, and windows that are not in use.</summary>
    [Theory]
    [InlineData("""{"model_type":"qwen2","sliding_window":4096,"max_window_layers":28,"use_sliding_window":false,"use_mrope":false,"layer_types":["full_attention","full_attention","full_attention"]}""")]
    [InlineData("""{"model_type":"mistral","sliding_window":null,"attention_dropout":0.0}""")]
    [InlineData("""{"model_type":"mistral","max_position_embeddings":4096,"sliding_window":4096}""")]
    [InlineData("""{"model_type":"qwen3","head_dim":128,"attention_bias":false,"use_sliding_window":false,"sliding_window":null,"max_window_layers":36}""")]
    [InlineData("""{"is_llama_config":true,"rope_interleaved":false,"transformers.js_config":{"kv_cache_dtype":{"q4f16":"float16"}},"_name_or_path":"x","unsloth_fixed":true,"unsloth_version":"2025.3"}""")]
    [InlineData("""{"pretraining_tp":1,"initializer_range":0.02,"_attn_implementation_autoset":true,"output_attentions":true,"id2label":{"0":"A"},"num_beam_groups":1,"task_specific_params":{"x":1},"attn_logit_softcapping":null,"use_qk_norm":false}""")]
    public void WhatSaysNothingOfTheMathematicsPasses(string change) => Assert.Equal(64, Parse(change).HiddenSize);

    /// <summary>Every field that a reference's config has and ours has says the same; forms of rotary parameters and of the dtype are both there.</summary>
    [Theory, MemberData(nameof(ModelCase.Folders), MemberType = typeof(ModelCase))]
    public void AReferencesConfigIsWrittenAgainWithTheSameMeaning(string folder)
    {
        var read = ModelFolder.ReadJson(Path.Combine(folder, "config.json"));
        var config = ModelConfig.Parse(read);
        var written = config.ToJson();
        Assert.Equal(config with { NextTokenLayers = 0 }, ModelConfig.Parse(written));
        // The layer for further tokens is left out; rotary parameters may stand in the other form or with defaults spelled out; a window that is wider than the positions is none.
        string[] apart = ["num_nextn_predict_layers", "rope_scaling", "rope_parameters", "rope_theta", "sliding_window"];
        foreach (var field in read.EnumerateObject().Where(field => !apart.Contains(field.Name) && field.Value.ValueKind != JsonValueKind.Null && written.TryGetProperty(field.Name, out _)))
        {
            Assert.True(JsonElement.DeepEquals(field.Value, written.GetProperty(field.Name)), $"{field.Name}: {field.Value} became {written.GetProperty(field.Name)}");
        }
        foreach (var name in new[] { "rope_scaling", "rope_parameters" })
        {
            if (!read.TryGetProperty(name, out var rope) || rope.ValueKind != JsonValueKind.Object) continue;
            foreach (var field in rope.EnumerateObject()) Assert.True(JsonElement.DeepEquals(field.Value, written.GetProperty(name).GetProperty(field.Name)), $"{name}.{field.Name}");
        }
    }

    [Fact]
    public void ThePublishedDeepSeekIsRead()
    {
        var config = Parse("""
            {"model_type":"deepseek_v3","aux_loss_alpha":0.001,"ep_size":1,"first_k_dense_replace":3,"kv_lora_rank":512,"max_position_embeddings":163840,"moe_intermediate_size":2048,"moe_layer_freq":1,
            "n_group":8,"n_routed_experts":256,"n_shared_experts":1,"norm_topk_prob":true,"num_attention_heads":128,"num_experts_per_tok":8,"num_hidden_layers":61,"num_key_value_heads":128,
            "num_nextn_predict_layers":1,"q_lora_rank":1536,"qk_nope_head_dim":128,"qk_rope_head_dim":64,"routed_scaling_factor":2.5,"scoring_func":"sigmoid","seq_aux":true,"topk_group":4,"topk_method":"noaux_tc",
            "rope_scaling":{"beta_fast":32,"beta_slow":1,"factor":40,"mscale":1.0,"mscale_all_dim":1.0,"original_max_position_embeddings":4096,"type":"yarn"},"v_head_dim":128,"auto_map":{"AutoConfig":"x"}}
            """);
        Assert.Equal(new LatentShape(1_536, 512, 128, 64, 128, true), config.Latent);
        Assert.Equal(new ExpertShape(256, 8, 1, 2_048, 8, 4, 2.5, true, 3), config.Experts);
        Assert.Equal((192, 64, 128, 1), (config.HeadDim, config.RotaryWidth, config.ValueWidth, config.NextTokenLayers));
    }

    [Theory]
    [InlineData("""{"num_key_value_heads":2}""", "num_key_value_heads '2'")]
    [InlineData("""{"scoring_func":"softmax"}""", "scoring_func 'softmax'")]
    [InlineData("""{"topk_method":"greedy"}""", "topk_method 'greedy'")]
    [InlineData("""{"moe_layer_freq":2}""", "moe_layer_freq '2'")]
    [InlineData("""{"n_group":7}""", "n_group must divide")]
    [InlineData("""{"n_group":256}""", "at least two")]
    [InlineData("""{"num_experts_per_tok":129}""", "from 1 to 128, not 129")]
    [InlineData("""{"n_routed_experts":4096,"num_hidden_layers":1000}""", "more than the 65536")]
    [InlineData("""{"n_shared_experts":0}""", "n_shared_experts must be")]
    [InlineData("""{"qk_rope_head_dim":7}""", "must be even")]
    public void ADeepSeekThatIsNotSupportedIsRefusedByName(string change, string why)
    {
        var json = JsonNode.Parse(change)!.AsObject();
        json["model_type"] = "deepseek_v3";
        Assert.Contains(why, Assert.Throws<InvalidInputException>(() => Parse(json.ToJsonString())).Message);
    }

    [Fact]
    public void TheDtypeIsReadInBothForms()
    {
        Assert.Equal(("bfloat16", "float16", "float32"), (Parse("""{"torch_dtype":"bfloat16"}""").Dtype, Parse("""{"dtype":"float16"}""").Dtype, Parse("{}").Dtype));
        Assert.Equal("bfloat16", Parse("""{"torch_dtype":"bfloat16"}""").ToJson().GetProperty("dtype").GetString());
    }

    [Fact]
    public void EndTokensAreOneOrMany()
    {
        Assert.Equal([2], Parse("""{"eos_token_id":2}""").EndTokens);
        Assert.Equal([2, 7], Parse("""{"eos_token_id":[2,7]}""").EndTokens);
        Assert.Empty(Parse("""{"eos_token_id":null}""").EndTokens);
        Assert.Null(Parse("""{"pad_token_id":-1}""").PadToken);
    }

    [Fact]
    public void TheGenerationConfigsEndTokensCount()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["config.json"], Merged("""{"eos_token_id":2}"""));
        File.WriteAllText(folder["generation_config.json"], """{"eos_token_id":[2,9]}""");
        Assert.Equal([2, 9], ModelConfig.Read(folder.Path).EndTokens);
    }

    [Fact]
    public void AConfigSurvivesItsJson()
    {
        var config = Tiny.Config with { EndTokens = [2, 5], PadToken = null };
        Assert.Equal(config, ModelConfig.Parse(config.ToJson()));
        Assert.NotEqual(config, config with { EndTokens = [2] });
    }

    [Fact]
    public void ParametersAreCounted()
    {
        using var model = CausalLm.Create(Tiny.Config with { TieEmbeddings = false }, 1);
        Assert.Equal(model.Parameters.Sum(parameter => parameter.Value.numel()), model.Config.ParameterCount);
    }

    [Theory]
    [InlineData("""{"model_type":"gpt2"}""", "model_type 'gpt2'")]
    [InlineData("""{"model_type":null}""", "no model_type")]
    [InlineData("""{"hidden_act":"gelu"}""", "hidden_act 'gelu'")]
    [InlineData("""{"model_type":"mistral","sliding_window":null,"attention_bias":true}""", "attention_bias 'true'")]
    [InlineData("""{"model_type":"qwen2","attention_bias":true}""", "attention_bias 'true'")]
    [InlineData("""{"model_type":"qwen3","mlp_bias":true}""", "mlp_bias 'true'")]
    [InlineData("""{"model_type":"mistral","max_position_embeddings":32768,"sliding_window":4096}""", "sliding_window '4096'")]
    [InlineData("""{"model_type":"mistral","max_position_embeddings":32768}""", "sliding_window '4096'")]
    [InlineData("""{"model_type":"qwen2","use_sliding_window":true,"sliding_window":4096}""", "use_sliding_window 'true'")]
    [InlineData("""{"sliding_window":4096}""", "sliding_window '4096'")]
    [InlineData("""{"layer_types":["full_attention","sliding_attention","full_attention"]}""", "layer_types 'sliding_attention'")]
    [InlineData("""{"rope_scaling":{"rope_type":"llama3","factor":8.0}}""", "no low_freq_factor")]
    [InlineData("""{"rope_scaling":{"rope_type":"llama3","factor":8.0,"low_freq_factor":4,"high_freq_factor":4}}""", "high_freq_factor must be above low_freq_factor")]
    [InlineData("""{"rope_scaling":{"type":"linear","factor":0.5}}""", "factor must be from 1")]
    [InlineData("""{"rope_scaling":{"type":"dynamic","factor":2.0}}""", "rope_type 'dynamic', which is not supported; supported: default, linear, llama3, yarn, longrope")]
    [InlineData("""{"rope_parameters":{"rope_type":"yarn"}}""", "rope_parameters has no factor")]
    [InlineData("""{"rope_scaling":{"type":"default","mrope_section":[16,24,24]}}""", "rope_scaling.mrope_section")]
    [InlineData("""{"rope_scaling":{"rope_type":"longrope","short_factor":[1,1,1,1,1,1,1,1],"long_factor":[2,1,1,1,1,1,1,1],"factor":4}}""", "rope_type 'longrope'")]
    [InlineData("""{"rope_scaling":{"rope_type":"longrope","short_factor":[1],"long_factor":[1],"factor":4}}""", "short_factor must be 8 numbers")]
    [InlineData("""{"attn_logit_softcapping":50.0}""", "attn_logit_softcapping '50.0'")]
    [InlineData("""{"final_logit_softcapping":30.0}""", "final_logit_softcapping '30.0'")]
    [InlineData("""{"query_pre_attn_scalar":224}""", "query_pre_attn_scalar '224'")]
    [InlineData("""{"logit_scale":0.0625}""", "logit_scale '0.0625'")]
    [InlineData("""{"embedding_multiplier":12.0}""", "embedding_multiplier '12.0'")]
    [InlineData("""{"residual_multiplier":0.22}""", "residual_multiplier '0.22'")]
    [InlineData("""{"use_qk_norm":true}""", "use_qk_norm")]
    [InlineData("""{"clip_qkv":8}""", "clip_qkv '8'")]
    [InlineData("""{"position_embedding_type":"alibi"}""", "position_embedding_type 'alibi'")]
    [InlineData("""{"no_rope_layers":[1,1,0]}""", "no_rope_layers")]
    [InlineData("""{"num_nextn_predict_layers":1}""", "num_nextn_predict_layers '1'")]
    [InlineData("""{"partial_rotary_factor":0.5}""", "partial_rotary_factor '0.5'")]
    [InlineData("""{"quantization_config":{"bits":4}}""", "quantization_config")]
    [InlineData("""{"quantization_config":{"quant_method":"fp8","fmt":"e4m3","weight_block_size":[128,128]}}""", "quantization_config 'fp8'")]
    [InlineData("""{"torch_dtype":"float8_e4m3fn"}""", "torch_dtype 'float8_e4m3fn'")]
    [InlineData("""{"quantization":{"group_size":64,"bits":4}}""", "quantization '")]
    [InlineData("""{"compression_config":{"format":"pack-quantized"}}""", "compression_config")]
    [InlineData("""{"hidden_size":null}""", "no hidden_size")]
    [InlineData("""{"hidden_size":"64"}""", "hidden_size must not be a string")]
    [InlineData("""{"num_hidden_layers":0}""", "from 1 to 1000, not 0")]
    [InlineData("""{"num_hidden_layers":2.5}""", "not 2.5")]
    [InlineData("""{"num_key_value_heads":3}""", "must divide num_attention_heads (4)")]
    [InlineData("""{"num_attention_heads":5}""", "multiple of num_attention_heads 5")]
    [InlineData("""{"head_dim":15}""", "must be even")]
    [InlineData("""{"rms_norm_eps":-1}""", "rms_norm_eps must be from 0 to 1")]
    public void WhatIsNotSupportedIsRefusedByName(string change, string why) =>
        Assert.Contains(why, Assert.Throws<InvalidInputException>(() => Parse(change)).Message);

    [Fact]
    public void AFolderWithoutAConfigIsRefused()
    {
        using var folder = new TemporaryFolder();
        Assert.Contains("no config.json", Assert.Throws<InvalidInputException>(() => CausalLm.Load(folder.Path)).Message);
        File.WriteAllText(folder["config.json"], "{");
        Assert.Contains("is not JSON", Assert.Throws<InvalidInputException>(() => CausalLm.Load(folder.Path)).Message);
    }

    private static ModelConfig Parse(string change) => ModelConfig.Parse(JsonSerializer.Deserialize<JsonElement>(Merged(change)));

    private static string Merged(string change)
    {
        var json = JsonNode.Parse(Llama)!.AsObject();
        foreach (var (name, value) in JsonNode.Parse(change)!.AsObject()) json[name] = value?.DeepClone();
        return json.ToJsonString();
    }
}
