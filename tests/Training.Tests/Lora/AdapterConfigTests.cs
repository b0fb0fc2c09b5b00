using System.Text.Json;
using Gradus.Training.Lora;
using Gradus.Training.Sft;
using Gradus.Training.Stages;
using Xunit;

namespace Gradus.Training.Tests.Lora;

public sealed class AdapterConfigTests
{
    private static readonly string[] modules =
    [
        "model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.v_proj", "model.layers.0.mlp.down_proj", "model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.v_proj",
        "model.layers.1.mlp.down_proj", "lm_head",
    ];

    [Fact]
    public void Defaults_are_peft_s()
    {
        var options = Options("{}");
        Assert.Equal((8, 8.0, 0.0, false, false), (options.Config.Rank, options.Config.Alpha, options.Config.Dropout, options.Config.RsLora, options.Gaussian));
        Assert.Equal(1, options.Config.ScaleOf(modules[0]));
        Assert.Equal([modules[0], modules[1], modules[3], modules[4]], options.Targets.Choose(modules, "adapter"));
    }

    [Theory]
    [InlineData("""["q_proj"]""", "0,3")]
    [InlineData("""["layers.1.self_attn.q_proj","lm_head"]""", "3,6")]
    [InlineData("\"all-linear\"", "0,1,2,3,4,5")]
    [InlineData("\".*\\\\.(q_proj|v_proj)\"", "0,1,3,4")]
    [InlineData("\".*down_proj$\"", "2,5")]
    public void Targets_are_names_ends_all_or_simple_patterns(string targets, string expected) =>
        Assert.Equal(expected.Split(',').Select(i => modules[int.Parse(i)]), Options($$"""{"target_modules":{{targets}}}""").Targets.Choose(modules, "adapter"));

    [Fact]
    public void Layers_and_exclusions_narrow_the_choice() => Assert.Equal(
        [modules[4]], Options("""{"target_modules":"all-linear","exclude_modules":["q_proj","mlp.down_proj"],"layers_to_transform":[1]}""").Targets.Choose(modules, "adapter"));

    [Fact]
    public void The_scale_follows_patterns_and_rslora()
    {
        var config = Options("""{"r":16,"lora_alpha":32,"use_rslora":true,"rank_pattern":{"layers.1.self_attn.q_proj":4,"q_proj":64},"alpha_pattern":{"v_proj":8}}""").Config;
        Assert.Equal([64, 16, 16, 4], modules.Take(4).Select(config.RankOf));
        Assert.Equal([32 / 8.0, 8 / 4.0, 32 / 4.0, 32 / 2.0], modules.Take(4).Select(config.ScaleOf));
    }

    [Theory]
    [InlineData("""{"r":0}""", "options.adapter.r", "out_of_range")]
    [InlineData("""{"lora_dropout":1}""", "options.adapter.lora_dropout", "out_of_range")]
    [InlineData("""{"bias":"all"}""", "options.adapter.bias", "unknown_value")]
    [InlineData("""{"use_dora":true}""", "options.adapter.use_dora", "unknown_field")]
    [InlineData("""{"modules_to_save":["lm_head"]}""", "options.adapter.modules_to_save", "unknown_field")]
    [InlineData("""{"init_lora_weights":"pissa"}""", "options.adapter.init_lora_weights", "unknown_value")]
    [InlineData("""{"rank":8}""", "options.adapter.rank", "unknown_field")]
    [InlineData("""{"target_modules":[]}""", "options.adapter.target_modules", "invalid_value")]
    [InlineData("""{"target_modules":"(?!x).*"}""", "options.adapter.target_modules", "invalid_value")]
    [InlineData("""{"rank_pattern":{".*":8}}""", "options.adapter.rank_pattern..*", "invalid_value")]
    [InlineData("""{"layers_to_transform":[-1]}""", "options.adapter.layers_to_transform[0]", "out_of_range")]
    public void What_is_wrong_or_another_kind_is_refused_by_name(string adapter, string place, string code)
    {
        var error = Assert.Throws<InvalidInputException>(() => Options(adapter));
        Assert.Equal((place, code), (error.Parameter, error.Code));
    }

    [Theory]
    [InlineData("""{"target_modules":["c_attn"]}""", "c_attn")]
    [InlineData("""{"layers_to_transform":7}""", "no linear map")]
    public void A_choice_that_fits_nothing_is_refused(string adapter, string said) =>
        Assert.Contains(said, Assert.Throws<InvalidInputException>(() => Options(adapter).Targets.Choose(modules, "options.adapter")).Message);

    [Theory]
    [InlineData("\"use_dora\":true", "use_dora")]
    [InlineData("\"lora_bias\":true", "lora_bias")]
    [InlineData("\"bias\":\"lora_only\"", "bias")]
    [InlineData("\"layer_replication\":[[0,2]]", "layer_replication")]
    [InlineData("\"init_lora_weights\":\"pissa_niter_16\"", "init_lora_weights")]
    [InlineData("\"of_tomorrow\":0.5", "of_tomorrow")]
    [InlineData("\"peft_type\":\"LOHA\"", "peft_type")]
    [InlineData("\"r\":\"4\"", "r")]
    public void A_file_that_would_compute_something_else_is_refused_by_name(string field, string name)
    {
        var json = (field.StartsWith("\"peft_type", StringComparison.Ordinal) ? "{" : "{\"peft_type\":\"LORA\",") + field + "}";
        Assert.Equal($"adapter_config.json.{name}", Assert.Throws<InvalidInputException>(() => AdapterConfig.Parse(Json(json))).Parameter);
    }

    [Fact]
    public void What_is_at_rest_in_a_file_is_passed_over() => Assert.Equal(
        4, AdapterConfig.Parse(Json("""{"peft_type":"LORA","r":4,"of_tomorrow":null,"also":[],"use_dora":false,"qalora_group_size":16,"target_modules":"any.*regex"}""")).Rank);

    private static JsonElement Json(string text) => JsonDocument.Parse(text).RootElement;

    private static AdapterOptions Options(string adapter) =>
        ((SftOptions)StageOptions.Parse("sft", Json($$"""{"model":"m","dataset":"d","adapter":{{adapter}}}"""))).Adapter!;
}
