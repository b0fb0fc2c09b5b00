using System.Text.Json;
using Xunit;

namespace Gradus.Repo.Tests;

public sealed class RecipeSourceTests
{
    [Fact]
    public void Every_number_in_a_shipped_recipe_names_its_source()
    {
        var recipes = Repository.Files.Where(file => file.StartsWith("recipes/", StringComparison.Ordinal) && file.EndsWith(".json", StringComparison.Ordinal)).ToList();
        Assert.NotEmpty(recipes);
        foreach (var file in recipes)
        {
            using var recipe = JsonDocument.Parse(Repository.Read(file));
            foreach (var stage in recipe.RootElement.GetProperty("stages").EnumerateArray())
            {
                var sources = stage.GetProperty("sources").EnumerateObject().ToDictionary(source => source.Name, source => source.Value.GetString());
                var options = stage.GetProperty("options").EnumerateObject().ToList();
                var place = $"{file}, stage {stage.GetProperty("name")}";
                Assert.Empty(options.Where(option => HoldsNumber(option.Value) && string.IsNullOrWhiteSpace(sources.GetValueOrDefault(option.Name))).Select(option => $"{place}: {option.Name}"));
                Assert.Empty(sources.Keys.Except(options.Select(option => option.Name)).Select(name => $"{place}: a source of {name}, which is not there"));
            }
        }
    }

    private static bool HoldsNumber(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Number => true,
        JsonValueKind.Object => value.EnumerateObject().Any(member => HoldsNumber(member.Value)),
        JsonValueKind.Array => value.EnumerateArray().Any(HoldsNumber),
        _ => false,
    };
}
