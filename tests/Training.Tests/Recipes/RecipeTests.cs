using System.Text.Json;
using System.Text.Json.Nodes;
using Gradus.Training.Grpo;
using Gradus.Training.Recipes;
using Gradus.Training.Stages;
using Xunit;

namespace Gradus.Training.Tests.Recipes;

public sealed class RecipeTests
{
    private const string Two = """
        {"name":"two","seed":3,"stages":[
          {"name":"base","stage":"pretrain","options":{"model":"tiny","dataset":"documents","max_steps":5}},
          {"name":"zero","stage":"grpo","options":{"model":{"from":"base"},"dataset":"problems","num_generations":4,"generation_batch_size":12,"rewards":[{"name":"accuracy"}]}},
          {"name":"check","stage":"evaluate","options":{"model":{"from":"zero"},"sets":[{"name":"held-out","dataset":"held-out"}]}}]}
        """;

    [Fact]
    public void A_recipe_is_read_with_its_defaults_and_its_references()
    {
        var recipe = Recipe.Parse(Json(Two));
        Assert.Equal(["base", "zero", "check"], recipe.Stages.Select(s => s.Name));
        var grpo = Assert.IsType<GrpoOptions>(recipe.Stages[1].Options);
        Assert.Equal((3, 4, 0.2, "dapo", 1e-6), (grpo.Rollouts.PromptsPerStep, grpo.Rollouts.NumGenerations, grpo.Loss.EpsilonHigh, grpo.Loss.LossType, grpo.Loop.LearningRate));
        Assert.Equal("base", grpo.Model.From);
        Assert.Equal(["tiny", "documents", "held-out", "problems"], recipe.References.Select(r => r.Id));
    }

    [Fact]
    public void Evaluation_sets_are_held_out_of_every_training_stage()
    {
        var recipe = Recipe.Parse(Json(Two));
        Assert.Equal("held-out", Assert.Single(Assert.IsType<GrpoOptions>(recipe.Stages[1].Options).Data.HeldOut).Id);
        Assert.Equal("""["held-out"]""", recipe.Stages[0].Json.GetProperty("held_out").GetRawText());
    }

    [Fact]
    public void References_are_replaced_by_ids_everywhere()
    {
        var options = Json("""{"model":{"from":"a"},"datasets":[{"dataset":{"from":"b"},"weight":2}],"held_out":[{"from":"c"},"d"]}""");
        var resolved = Recipe.Resolve(options, (stage, kind) => $"{kind}-{stage}");
        Assert.Equal("""{"model":"Model-a","datasets":[{"dataset":"Dataset-b","weight":2}],"held_out":["Dataset-c","d"]}""", resolved.GetRawText());
    }

    [Theory]
    [InlineData("stages[1].options.model", "\"model\":{\"from\":\"base\"}", "\"model\":{\"from\":\"check\"}", "invalid_reference")]
    [InlineData("stages[1].options.model", "\"model\":{\"from\":\"base\"}", "\"model\":{\"from\":\"none\"}", "invalid_reference")]
    [InlineData("stages[2].options.sets[0].dataset", "\"dataset\":\"held-out\"", "\"dataset\":{\"from\":\"zero\"}", "invalid_reference")]
    [InlineData("stages[1].options.num_generations", "\"num_generations\":4", "\"num_generations\":1", "out_of_range")]
    [InlineData("stages[1].options.generation_batch_size", "\"generation_batch_size\":12", "\"generation_batch_size\":13", "out_of_range")]
    [InlineData("stages[1].options.epsilom", "\"num_generations\":4", "\"num_generations\":4,\"epsilom\":0.1", "unknown_field")]
    [InlineData("stages[1].options.learning_rate", "\"num_generations\":4", "\"num_generations\":4,\"learning_rate\":1e999", "out_of_range")]
    [InlineData("stages[0].stage", "pretrain", "pretraining", "unknown_value")]
    [InlineData("stages[0].options.dataset", "\"dataset\":\"documents\",", "", "missing")]
    [InlineData("stages[0].options.max_steps", "\"max_steps\":5", "\"max_steps\":\"5\"", "out_of_range")]
    [InlineData("stages[0].options.max_steps", "\"max_steps\":5", "\"max_steps\":5,\"max_steps\":6", "invalid_value")]
    [InlineData("stages[1].name", "\"name\":\"zero\"", "\"name\":\"base\"", "invalid_value")]
    [InlineData("epochs", "\"seed\":3", "\"epochs\":3", "unknown_field")]
    public void What_is_wrong_is_refused_with_its_place(string path, string part, string with, string code)
    {
        var error = Assert.Throws<InvalidInputException>(() => Recipe.Parse(Json(Two.Replace(part, with, StringComparison.Ordinal))));
        Assert.Equal((path, code), (error.Parameter, error.Code));
    }

    [Fact]
    public void A_set_that_is_selected_first_is_held_out_of_what_follows()
    {
        var recipe = Recipe.Parse(Json("""
            {"name":"cut","stages":[
              {"name":"held-out","stage":"select","options":{"dataset":"mine","skip":900}},
              {"name":"sft","stage":"sft","options":{"model":"tiny","dataset":"mine"}},
              {"name":"check","stage":"evaluate","options":{"model":{"from":"sft"},"sets":[{"name":"held-out","dataset":{"from":"held-out"}}]}}]}
            """));
        Assert.False(recipe.Stages[0].Json.TryGetProperty("held_out", out _));
        Assert.Equal("""[{"from":"held-out"}]""", recipe.Stages[1].Json.GetProperty("held_out").GetRawText());
    }

    [Fact]
    public void A_set_that_is_made_after_training_is_refused()
    {
        var recipe = JsonNode.Parse(Two)!.AsObject();
        var stages = recipe["stages"]!.AsArray();
        stages.Insert(2, JsonNode.Parse("""{"name":"late","stage":"generate","options":{"kind":"problems","count":3}}"""));
        stages[3]!["options"]!["sets"]![0]!["dataset"] = new JsonObject { ["from"] = "late" };
        var error = Assert.Throws<InvalidInputException>(() => Recipe.Parse(JsonSerializer.SerializeToElement(recipe)));
        Assert.Equal("stages[3].options.sets[0].dataset", error.Parameter);
    }

    [Fact]
    public void A_stage_alone_cannot_refer_to_another()
    {
        var options = StageOptions.Parse("sft", Json("""{"model":{"from":"base"},"dataset":"d"}"""));
        Assert.Equal(("options.model", "base"), (options.References[0].Path, options.References[0].From));
        Assert.Throws<InvalidInputException>(() => options.References[0].Resolved);
    }

    [Fact]
    public void Stages_draw_apart_and_the_same_stage_alike()
    {
        Assert.Equal(Recipe.StageSeed(1, "base"), Recipe.StageSeed(1, "base"));
        Assert.NotEqual(Recipe.StageSeed(1, "base"), Recipe.StageSeed(2, "base"));
        Assert.InRange(Recipe.StageSeed(1, "zero"), 0, 1L << 53);
    }

    public static TheoryData<string> Shipped => [.. ShippedRecipes.All.Keys];

    [Theory]
    [MemberData(nameof(Shipped))]
    public void A_shipped_recipe_is_valid_and_every_number_in_it_has_a_source(string name)
    {
        var recipe = Recipe.Parse(ShippedRecipes.All[name]);
        Assert.Equal(name, recipe.Name);
        foreach (var stage in recipe.Stages)
        {
            var numbers = stage.Json.EnumerateObject().Where(o => o.Value.ValueKind == JsonValueKind.Number || o.Name == "accept" || (o.Name == "rewards" && stage.Stage == "grpo")).Select(o => o.Name);
            Assert.Empty(numbers.Except(stage.Sources.Keys).Select(n => $"{stage.Name}.{n} has no source"));
            Assert.Empty(stage.Sources.Keys.Except(stage.Json.EnumerateObject().Select(o => o.Name)).Select(n => $"{stage.Name}.{n} has a source but no value"));
        }
    }

    [Fact]
    public void R1_zero_is_the_papers()
    {
        var recipe = Recipe.Parse(ShippedRecipes.All["r1-zero"]);
        GrpoOptions[] stages = [.. recipe.Stages.Select(stage => Assert.IsType<GrpoOptions>(stage.Options))];
        Assert.Equal([32_768, 65_536], stages.Select(stage => stage.Rollouts.MaxCompletionLength));
        Assert.Equal(10_400, stages.Sum(stage => stage.Loop.MaxSteps));
        foreach (var stage in stages)
        {
            // 8,192 outputs in 16 minibatches of 512, one pass.
            Assert.Equal((8_192, 16, 16, 16), (stage.Rollouts.PromptsPerStep * stage.Rollouts.NumGenerations, stage.Rollouts.NumGenerations, stage.StepsPerGeneration, stage.UpdatesPerBatch));
            Assert.Equal(("grpo", "group", 0.001, 10, 10, 400), (stage.Loss.LossType, stage.ScaleRewards, stage.Loss.Beta, stage.Loss.Epsilon, stage.Loss.EpsilonHigh, stage.RefModelSyncSteps));
            Assert.Equal((3e-6, "constant", 1, 1), (stage.Loop.LearningRate, stage.Loop.Scheduler, stage.Rollouts.Temperature, stage.Rollouts.TopP));
            Assert.Equal(0, stage.Loop.MaxSteps % stage.UpdatesPerBatch);
        }
    }

    private static JsonElement Json(string text) => JsonDocument.Parse(text).RootElement;
}
