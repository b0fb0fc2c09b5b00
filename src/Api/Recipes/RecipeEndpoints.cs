using System.Text.Json;
using Gradus.Api.Operations;
using Gradus.Training.Recipes;

namespace Gradus.Api.Recipes;

/// <summary>A shipped recipe.</summary>
/// <param name="Id">Its name.</param>
/// <param name="Object">Always <c>recipe</c>.</param>
/// <param name="Recipe">The whole of it, as POST /v1/runs takes it.</param>
internal sealed record RecipeContract(string Id, string Object, string Name, string Description, JsonElement Recipe)
{
    public static RecipeContract Of(KeyValuePair<string, JsonElement> shipped) =>
        new(shipped.Key, "recipe", shipped.Key, shipped.Value.TryGetProperty("description", out var text) ? text.GetString()! : "", shipped.Value);
}

/// <summary>/v1/recipes: what is shipped.</summary>
internal static class RecipeEndpoints
{
    public static void MapRecipes(this WebApplication app)
    {
        app.MapGet("/v1/recipes", List).Describe("Recipes", "List recipes", "Those that are shipped, by name.").WithQuery(Paging.Limit, Paging.After).Returns<ListContract<RecipeContract>>(200);
        app.MapGet("/v1/recipes/{name}", Find).Describe("Recipes", "Look at a recipe", "Every number names its source.").WithPath("name", "The recipe's name.", "r1-zero-tiny").Returns<RecipeContract>(200);
    }

    private static ListContract<RecipeContract> List(HttpContext context)
    {
        var (limit, after) = (Paging.Limit.Read(context), Paging.After.Read(context));
        var rows = ShippedRecipes.All.Where(recipe => after is null || string.CompareOrdinal(recipe.Key, after) > 0).Take(limit + 1).ToList();
        return ListContract<RecipeContract>.Of(rows, limit, RecipeContract.Of, recipe => recipe.Key);
    }

    private static RecipeContract Find(string name) =>
        ShippedRecipes.All.TryGetValue(name, out var recipe) ? RecipeContract.Of(new(name, recipe)) : throw ApiException.NotFound("recipe", name);
}
